//! What a job reads of its input.

use capfilt_schemas::predicate::Predicate;
use std::collections::BTreeSet;

/// The columns that a job reads, and the limits of their values.
#[derive(Debug, Clone)]
pub struct InputColumns {
    pub key: String,
    pub image: String,
    pub text: String,
    pub selection: Option<Predicate>,
    pub passthrough: Vec<String>,
    /// Words the filter sees of a text; the negative control's too.
    pub max_words: usize,
    /// Bytes of the largest image that is carried along; of a larger one, only its size.
    pub image_bytes: u64,
    /// Bytes of a text that may be judged. One of some more is carried along too; see `source::TEXT_BYTES`.
    pub text_bytes: u64,
    /// Seed of the negative control.
    pub seed: u64,
    /// Bytes that a row group may take in memory: what of it is compressed, and the pages of the rows that
    /// are decoded. It changes nothing of what is read, but whether a page is too large; [`READING_BYTES`] is
    /// room for any.
    pub memory: u64,
}

/// Room for two pages, and one of them compressed, all of the 2 GiB that Parquet allows; a quarter is for
/// other columns.
pub const READING_BYTES: u64 = 8 << 30;

impl InputColumns {
    /// All columns that are read.
    pub(super) fn wanted(&self) -> BTreeSet<&str> {
        let mut wanted = BTreeSet::from([self.key.as_str(), self.image.as_str(), self.text.as_str()]);
        wanted.extend(self.selection.iter().flat_map(Predicate::columns));
        wanted.extend(self.passthrough.iter().map(String::as_str));
        wanted
    }
}
