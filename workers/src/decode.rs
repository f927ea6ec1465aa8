//! The second stage: decodes and resizes images on `decode_threads` threads.

use crate::{
    decoders::{Decoders, limited, time_limit},
    flow::{Attempt, Fetched, Flow, PreparedRows, handling},
    stage_timings::Stage,
};
use capfilt_pipeline::prepare::PrepareSpec;
use capfilt_schemas::worker_protocol::{self, Event};
use std::{sync::Arc, time::Instant};
use tokio::sync::mpsc::Receiver;

/// Prepares rows until its input ends or its receiver is gone.
pub(crate) fn decode(
    mut decoders: Decoders,
    spec: &PrepareSpec,
    mut rows: Receiver<Flow<Fetched>>,
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
            Flow::Rows(Fetched { rows, held }) => {
                let (attempt, spec) = current.as_ref().expect("rows come after their shard's begin");
                let from = Instant::now();
                if let Some(event) = handling(
                    attempt,
                    worker_protocol::Stage::Decode,
                    rows.samples.iter().map(|sample| sample.row),
                ) {
                    events(event);
                }
                let limit = time_limit(&attempt.limits);
                let span = Stage::Decode.span(&attempt.span);
                span.record("rows", rows.samples.len());
                let prepared =
                    span.in_scope(|| decoders.prepare_all(rows.samples, spec, &attempt.skip_list, limit));
                drop(span);
                attempt.clock.add(Stage::Decode, from);
                let (bytes, passthrough, held) = (rows.bytes, rows.passthrough, vec![held]);
                Flow::Rows(PreparedRows { rows: prepared, bytes, passthrough, held })
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
