//! The second stage: images decoded and resized on all the cores it is given.

use crate::{
    clock::Stage,
    fetch::{Attempt, Flow, handling},
    settled::Settled,
    worker::limited,
};
use arrow::array::RecordBatch;
use capfilt_pipeline::{
    input::{Rows, Sample},
    prepare::{PrepareSpec, Prepared, prepare, untouched},
    resize::Resizer,
};
use capfilt_schemas::pipe::{self, Event};
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
    events: &(dyn Fn(Event) + Send + Sync),
) {
    let mut current: Option<(Arc<Attempt>, PrepareSpec)> = None;
    while let Some(message) = rows.blocking_recv() {
        let message = match message {
            Flow::Begin { attempt, passthrough } => {
                current = Some((Arc::clone(&attempt), limited(spec, &attempt.limits)));
                Flow::Begin { attempt, passthrough }
            }
            Flow::Rows(rows) => {
                let (attempt, spec) = current.as_ref().expect("rows come after their shard's begin");
                let from = Instant::now();
                if let Some(event) =
                    handling(attempt, pipe::Stage::Decode, rows.samples.iter().map(|sample| sample.row))
                {
                    events(event);
                }
                let prepared = pool.install(|| prepare_all(rows, spec, &attempt.settled));
                attempt.clock.add(Stage::Decode, from);
                Flow::Rows(prepared)
            }
            Flow::Suspects(suspects) => Flow::Suspects(suspects),
            Flow::End => Flow::End,
            Flow::Broken { attempt, fault } => Flow::Broken { attempt, fault },
        };
        if out.send(message).is_err() {
            return;
        }
    }
}

pub(crate) fn prepare_all(rows: Rows, spec: &PrepareSpec, settled: &Settled) -> PreparedRows {
    let samples = rows.samples.into_par_iter();
    let prepared = samples.map_init(Resizer::new, |resizer, sample| match settled.skip(sample.row) {
        Some(skip) => untouched(sample, skip),
        None => prepare_one(sample, spec, resizer),
    });
    PreparedRows { rows: prepared.collect(), passthrough: rows.passthrough }
}

pub(crate) fn prepare_one(sample: Sample, spec: &PrepareSpec, resizer: &mut Resizer) -> Prepared {
    #[cfg(feature = "poison")]
    crate::poison::strike("decode", &[sample.row]);
    prepare(sample, spec, resizer)
}
