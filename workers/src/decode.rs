//! The second stage: images decoded and resized on all the cores it is given.

use crate::{
    clock::Stage,
    fetch::{Attempt, Flow},
};
use arrow::array::RecordBatch;
use capfilt_pipeline::{
    input::Rows,
    prepare::{PrepareSpec, Prepared, prepare},
    resize::Resizer,
};
use rayon::{ThreadPool, prelude::*};
use std::{sync::Arc, time::Instant};
use tokio::sync::mpsc::Receiver;

/// Some consecutive rows, ready for the models.
#[derive(Debug)]
pub(crate) struct PreparedRows {
    pub rows: Vec<Prepared>,
    pub passthrough: RecordBatch,
}

/// Prepares what comes in until nothing more comes or nobody wants it.
pub(crate) fn decode(
    pool: &ThreadPool,
    spec: &PrepareSpec,
    mut rows: Receiver<Flow<Rows>>,
    out: &crossbeam_channel::Sender<Flow<PreparedRows>>,
) {
    let mut current: Option<Arc<Attempt>> = None;
    while let Some(message) = rows.blocking_recv() {
        let message = match message {
            Flow::Begin { attempt, passthrough } => {
                current = Some(Arc::clone(&attempt));
                Flow::Begin { attempt, passthrough }
            }
            Flow::Rows(rows) => {
                let from = Instant::now();
                let prepared = pool.install(|| prepare_all(rows, spec));
                if let Some(attempt) = &current {
                    attempt.clock.add(Stage::Decode, from);
                }
                Flow::Rows(prepared)
            }
            Flow::End => Flow::End,
            Flow::Broken { attempt, fault } => Flow::Broken { attempt, fault },
        };
        if out.send(message).is_err() {
            return;
        }
    }
}

pub(crate) fn prepare_all(rows: Rows, spec: &PrepareSpec) -> PreparedRows {
    let samples = rows.samples.into_par_iter();
    let prepared = samples.map_init(Resizer::new, |resizer, sample| prepare(sample, spec, resizer));
    PreparedRows { rows: prepared.collect(), passthrough: rows.passthrough }
}
