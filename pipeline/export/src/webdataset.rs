//! A WebDataset file: a tar in which the files of one sample follow each other under one number.

use super::{Pair, run::ExportError};
use serde_json::json;
use tar::{Builder, Header};

/// The pairs as a tar; `first` is the number of the first one in the export.
pub(crate) fn file(pairs: &[Pair], first: u64) -> Result<Vec<u8>, ExportError> {
    let mut tar = Builder::new(Vec::new());
    for (number, pair) in (first..).zip(pairs) {
        let note = json!({ "key": pair.key, "source": pair.origin.name(), "itm": pair.itm }).to_string();
        add(&mut tar, format!("{number:012}.{}", pair.extension()), &pair.image)?;
        add(&mut tar, format!("{number:012}.txt"), pair.text.as_bytes())?;
        add(&mut tar, format!("{number:012}.json"), note.as_bytes())?;
    }
    tar.into_inner().map_err(ExportError::Tar)
}

fn add(tar: &mut Builder<Vec<u8>>, name: String, bytes: &[u8]) -> Result<(), ExportError> {
    let mut header = Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    // No time of day: equal pairs make equal bytes.
    header.set_mtime(0);
    tar.append_data(&mut header, name, bytes).map_err(ExportError::Tar)
}
