//! Columns and limits of a job's input.

use super::Links;
use capfilt_schemas::predicate::Predicate;
use std::{collections::BTreeSet, sync::Arc};

/// The columns that a job reads, and the limits of their values.
#[derive(Debug, Clone)]
pub struct InputColumns {
    /// Column with the row's key.
    pub key: String,
    /// Column with the image.
    pub image: String,
    /// Columns with texts, each a text or a list of texts; the names are the sources of the texts.
    pub texts: Vec<Arc<str>>,
    /// Condition on the rows.
    pub selection: Option<Predicate>,
    /// Columns that are copied into the pairs table.
    pub passthrough: Vec<String>,
    /// Largest number of words that the filter reads of a text; also for the negative control.
    pub max_words: usize,
    /// Bytes of the largest image that is read; of a larger image only the size is known.
    pub image_bytes: u64,
    /// Bytes of a text that may be judged. A somewhat longer text is also copied; see `source::TEXT_BYTES`.
    pub text_bytes: u64,
    /// Largest number of texts of a row that are read from one column.
    pub most_texts: usize,
    /// Seed of the negative control.
    pub seed: u64,
    /// Bytes of memory for a row group: its compressed bytes, and the pages of the rows that are decoded. The
    /// limit does not change the rows, but a page that exceeds it is an error. [`READING_BYTES`] is enough
    /// for any page.
    pub memory: u64,
    /// Fetching of the links of the image column; `None`: a link is an image that cannot be read.
    pub links: Option<Arc<Links>>,
}

/// Memory for two pages and one compressed page of 2 GiB each, the largest that Parquet allows; a quarter is
/// for other columns.
pub const READING_BYTES: u64 = 8 << 30;

impl InputColumns {
    /// Column with the digests of linked images.
    pub(super) fn digest(&self) -> Option<&str> {
        self.links.as_ref()?.digest.as_deref()
    }

    /// All columns that are read.
    pub(super) fn wanted(&self) -> BTreeSet<&str> {
        let mut wanted = BTreeSet::from([self.key.as_str(), self.image.as_str()]);
        wanted.extend(self.texts.iter().map(AsRef::as_ref));
        wanted.extend(self.selection.iter().flat_map(Predicate::columns));
        wanted.extend(self.digest());
        wanted.extend(self.passthrough.iter().map(String::as_str));
        wanted
    }
}
