//! Planning: derives the work of a job from listings, Parquet footers, headers of tars and records.
//!
//! [`plan`] lists the input ([`input`]), reads the contents of each file in its format (`footer`, `tar`,
//! `records`, `folder`),
//! checks the columns and cuts the file's units into shards. [`table`] stores the plan; `integrity` checks a
//! stored plan against `job.json`.

mod contents;
mod error;
mod folder;
pub(crate) mod footer;
pub mod input;
pub(crate) mod integrity;
mod part;
mod planner;
mod records;
mod schema_check;
mod sharding;
pub mod table;
mod tar;

pub(crate) use contents::of_file;
pub use error::PlanError;
pub(crate) use footer::parquet_fault;
pub use input::InputChange;
pub use part::Part;
pub use planner::{Plan, plan};
