#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arrange;
mod caption;
mod card;
mod check;
mod croissant;
mod digest;
mod entry;
mod error;
mod exclusion_table;
mod exclusions;
mod export;
mod files;
mod gather;
mod hash;
mod kinds;
mod licences;
mod near;
mod options;
mod places;
mod run;
mod scratch;
mod source;
mod summary;
mod target;
mod tasks;

pub use error::ExportError;
pub use exclusions::Exclusions;
pub use export::Export;
pub use options::{checked, prompts};
pub use places::{Place, each_once, scratch_folder};
pub use run::{Progress, clean, export};
pub use source::{Content, HumanFiles, Source};
pub use summary::{nothing_left, quarantined_text, summary};
pub use target::{Found, find};
