#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod advice;
mod braces;
mod cloud;
mod commits;
mod environment;
mod error;
mod fault;
mod folder;
pub mod footer;
mod http;
mod hub;
pub mod image_folder;
mod link_refused;
mod links;
mod listing;
mod local_walk;
mod location;
mod markers;
mod named_once;
mod objects;
mod open;
mod outage;
mod passed_over;
mod pinned;
mod pinned_parquet;
mod process;
mod profile;
mod put_if_absent;
pub mod records;
mod retry;
mod room;
mod stores;
pub mod strays;
pub mod tar;
mod unfinished;
mod uploads;
mod url_text;
mod window;

pub use braces::Braces;
pub use commits::{
    CommitEntry, CommitIndex, Committed, RECORDS_AT_ONCE, commit, foreign, list_commit_entries, list_commits,
};
pub use error::StoreError;
pub use fault::{FaultKind, last_cause};
pub use links::links_below;
pub use location::Location;
pub use outage::{expect_stores, outage_seconds, wait_out_outages};
pub use passed_over::{Passed, PassedOver, escaped};
pub use pinned::PinnedObject;
pub use put_if_absent::PutOutcome;
pub use room::is_no_room;
pub use stores::{VARIABLE as STORES_VARIABLE, add_stores, read_stores, stores_text};
pub use uploads::Unfinished;
pub use url_text::{user_of, without_secrets};
