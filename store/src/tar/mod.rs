//! WebDataset tars: their members in order, as samples by webdataset's rule for names.
//!
//! [`TarStream`] walks forward. Between members it reads headers only; [`TarStream::read`] reads the data of
//! the current member. Planning and reading use the same walk, so they count the same samples.

mod forward;
mod header;
mod name;
mod stream;

pub use header::BLOCK;
pub use name::{is_metadata, split};
pub use stream::{Member, TarItem, TarStream};
