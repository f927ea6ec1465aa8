//! Columns of a tar: the suffixes of the first samples' members, and the keys of their `.json`.

use crate::plan::formats::columns::{Column, Columns, PIECE_BYTES, SAMPLES, of_suffix};
use capfilt_schemas::plan::InputFile;
use capfilt_store::{
    Location, PinnedObject, StoreError,
    tar::{TarItem, TarStream},
};
use serde_json::Value;

/// Largest JSON member that is parsed.
const OBJECT_BYTES: u64 = 1 << 20;

/// Columns of the first samples. The inner error is the reason why the file cannot be read.
pub(super) async fn of_tar(
    input: &Location,
    file: &InputFile,
    is_compressed: bool,
) -> Result<Result<Vec<Column>, String>, StoreError> {
    let object = PinnedObject::new(input, file);
    let mut stream = match is_compressed {
        true => TarStream::of_gzip(object, PIECE_BYTES),
        false => TarStream::of_object(object, 0..file.bytes, PIECE_BYTES),
    };
    let (mut columns, mut samples) = (Columns::default(), 0);
    while let Some(item) = stream.next().await? {
        let member = match item {
            TarItem::Member(member) => member,
            TarItem::Damage { why, .. } if samples == 0 => return Ok(Err(format!("not a tar: {why}"))),
            TarItem::Damage { .. } => break,
        };
        samples += usize::from(member.is_first);
        if samples > SAMPLES {
            break;
        }
        columns.add(&member.suffix, of_suffix(&member.suffix));
        if member.suffix == "json" && member.bytes <= OBJECT_BYTES {
            let text = stream.read(OBJECT_BYTES).await?;
            if let Ok(Value::Object(fields)) = serde_json::from_slice(&text) {
                columns.add_fields(&fields);
            }
        }
    }
    Ok(Ok(columns.0))
}
