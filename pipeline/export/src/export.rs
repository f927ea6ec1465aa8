//! Request of an export: its sources and options.

use super::{exclusions::Exclusions, source::Source};
use capfilt_schemas::export::{Format, Options, Request};

/// The sources and the options of one export.
pub struct Export {
    /// Jobs and tables to export.
    pub sources: Vec<Source>,
    /// Format of the files.
    pub format: Format,
    /// Choice of texts and sizes of files.
    pub options: Options,
    /// Rows to leave out.
    pub exclusions: Exclusions,
}

impl Export {
    /// All values that decide the export's content.
    pub fn request(&self) -> Request {
        let sources = self.sources.iter().map(|source| source.record.clone()).collect();
        let options = Options { exclude: self.exclusions.lists().to_vec(), ..self.options.clone() };
        Request { version: options.version(self.format), format: self.format, options, sources }
    }
}
