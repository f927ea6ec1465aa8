//! The pairs of one row group, encoded as they are stored.

use super::{DataError, dataset::Group};
use bytes::Bytes;
use capfilt_pipeline::{
    input::{ImageInput, ShardReader},
    text::pre_caption,
};
use sha2::{Digest as _, Sha256};

/// Rows decoded from Parquet at a time.
const ROWS_AT_ONCE: usize = 256;

/// An image as it is stored, and its cleaned text.
pub struct Pair {
    pub image: Bytes,
    pub image_id: i64,
    pub text: String,
}

/// A row group's pairs by row; `None` where image or text is missing.
pub async fn read(group: &Group) -> Result<Vec<Option<Pair>>, DataError> {
    let mut reader = ShardReader::open(&group.place, &group.shard, group.columns.clone(), ROWS_AT_ONCE).await?;
    let mut pairs = Vec::with_capacity(group.shard.rows as usize);
    while let Some(rows) = reader.next().await? {
        pairs.extend(rows.samples.into_iter().map(|sample| {
            let text = pre_caption(sample.text.as_text()?, group.columns.max_words);
            match sample.image {
                ImageInput::Bytes { bytes, .. } if sample.selected && !text.is_empty() && !bytes.is_empty() => {
                    Some(Pair { image_id: id_of(&bytes), image: bytes, text })
                }
                _ => None,
            }
        }));
    }
    Ok(pairs)
}

/// Equal for equal images, never negative: the contrast's queue marks its empty places so.
fn id_of(image: &[u8]) -> i64 {
    let digest: [u8; 32] = Sha256::digest(image).into();
    let first = digest[..8].iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    (first >> 1) as i64
}
