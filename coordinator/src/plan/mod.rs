//! Planning: derives the work of a job from listings, Parquet footers, headers of tars and records.
//!
//! [`plan`] lists the input ([`input`]), reads the contents of each file in its format (`formats`), checks
//! the columns and cuts the file's units into shards. [`table`] stores the plan; `integrity` checks a stored
//! plan against `job.json`.

mod contents;
mod error;
pub(crate) mod formats;
pub mod input;
pub(crate) mod integrity;
mod part;
mod planner;
mod schema_check;
mod sharding;
pub mod table;

pub use error::PlanError;
pub(crate) use formats::footer::parquet_fault;
pub use input::InputChange;
pub use part::Part;
pub use planner::{Plan, plan};
