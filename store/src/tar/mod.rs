//! WebDataset tars: their members in order, as samples by webdataset's rule for names.
//!
//! [`TarStream`] walks forward. Between members it reads headers only; [`TarStream::read`] reads the data of
//! the current member. Planning and reading use the same walk, so they count the same samples.
//! [`SampleWriter`] writes the tars of jobs and exports, and [`WholeSamples`] reads those of jobs.

mod forward;
mod header;
mod name;
mod sample_writer;
mod samples;
mod stream;

pub use header::BLOCK;
pub use name::{is_metadata, split};
pub use sample_writer::{IMAGE, RECORD, SampleData, SampleWriter, TEXT};
pub use samples::{WholeSample, WholeSamples};
pub use stream::{Member, TarItem, TarStream};
