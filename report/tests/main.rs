//! Tests of the report over jobs with real tables: written by the workers' writer, committed and sealed.

#![allow(clippy::unwrap_used)]

mod balance;
mod clip;
mod hostile;
mod large;
mod page;
mod recount;
mod support;
mod truth;
