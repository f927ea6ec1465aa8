//! Request of an export: its sources and options.

use super::source::Source;
use capfilt_schemas::export::{Format, Options, Request, VERSION};

/// The sources and the options of one export.
pub struct Export {
    /// Jobs and tables to export.
    pub sources: Vec<Source>,
    /// Format of the files.
    pub format: Format,
    /// Choice of texts and sizes of files.
    pub options: Options,
}

impl Export {
    /// All values that decide the export's content.
    pub fn request(&self) -> Request {
        let sources = self.sources.iter().map(|source| source.record.clone()).collect();
        Request { version: VERSION, format: self.format, options: self.options.clone(), sources }
    }
}
