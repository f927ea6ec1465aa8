//! Tests of planning, dispatch, states and verification, over stores in memory and on disk.

#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]

mod checkpoints;
mod control;
mod dispatch;
mod job;
mod plan;
mod queue;
mod single_worker;
mod status;
mod support;
mod verify;
