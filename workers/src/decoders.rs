//! The threads that decode and resize images, and how long one image may keep one of them.
//!
//! A codec cannot be called off. A row that takes too long is given up, and its thread is left to it: others
//! take over. What so many threads hold has a bound too, so with too many of them the process ends, and its
//! rows are suspects.

use crate::settled::Settled;
use capfilt_pipeline::{
    image::ImageLimits,
    input::Sample,
    prepare::{Findings, PrepareSpec, Prepared, Skip, prepare},
    resize::Resizer,
};
use capfilt_schemas::{settings::Limits, status::RowStatus};
use crossbeam_channel::{RecvTimeoutError, Sender};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::{
    any::Any,
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Threads that may be left to images which do not end. Memory: each holds an image of `limits.pixels` at
/// most.
const MOST_LEFT: usize = 4;

/// How often late images are looked for while nothing else happens.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A pool of threads.
pub(crate) struct Decoders {
    threads: usize,
    pool: ThreadPool,
    /// Threads of earlier pools that are still at their image.
    left: Arc<AtomicUsize>,
}

/// One row's preparation.
struct Job {
    sample: Sample,
    /// Why the row is not looked at, if it is not.
    skip: Option<Skip>,
    spec: Arc<PrepareSpec>,
    is_taken: AtomicBool,
    started: OnceLock<Instant>,
    /// Nobody waits for it any more.
    is_given_up: AtomicBool,
    left: Arc<AtomicUsize>,
}

type Ended = (usize, Result<Findings, Box<dyn Any + Send>>);

impl Decoders {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads, pool: pool(threads), left: Arc::default() }
    }

    /// Prepares rows, in their order. An image that takes longer than `limit` is undecodable.
    ///
    /// # Panics
    /// When a row's preparation does, and when too many images do not end.
    pub(crate) fn prepare_all(
        &mut self,
        samples: Vec<Sample>,
        spec: &PrepareSpec,
        settled: &Settled,
        limit: Duration,
    ) -> Vec<Prepared> {
        let spec = Arc::new(spec.clone());
        let job = |sample: Sample| self.job(settled.skip(sample.row), sample, &spec);
        let jobs: Vec<Arc<Job>> = samples.into_iter().map(job).collect();
        let mut findings: Vec<Option<Findings>> = jobs.iter().map(|_| None).collect();
        let (ended, ends) = crossbeam_channel::bounded(jobs.len());
        let start = |pool: &ThreadPool, findings: &[Option<Findings>]| {
            let open = jobs
                .iter()
                .enumerate()
                .filter(|(at, job)| findings[*at].is_none() && job.started.get().is_none());
            open.for_each(|(at, job)| job.start(at, pool, &ended));
        };
        start(&self.pool, &findings);
        while findings.iter().any(Option::is_none) {
            match ends.recv_timeout(LOOK_EVERY) {
                Ok((at, Ok(found))) => _ = findings[at].get_or_insert(found),
                Ok((_, Err(panic))) => resume_unwind(panic),
                Err(RecvTimeoutError::Disconnected) => unreachable!("this function holds a sender"),
                Err(RecvTimeoutError::Timeout) => {
                    if self.give_up_late(&jobs, &mut findings, limit) {
                        start(&self.pool, &findings);
                    }
                }
            }
        }
        let prepared = |(job, found): (Arc<Job>, Option<Findings>)| {
            found.expect("all are there").of(job.sample.clone()) // its images' bytes are shared
        };
        jobs.into_iter().zip(findings).map(prepared).collect()
    }

    fn job(&self, skip: Option<Skip>, sample: Sample, spec: &Arc<PrepareSpec>) -> Arc<Job> {
        Arc::new(Job {
            sample,
            skip,
            spec: Arc::clone(spec),
            is_taken: AtomicBool::new(false),
            started: OnceLock::new(),
            is_given_up: AtomicBool::new(false),
            left: Arc::clone(&self.left),
        })
    }

    /// Gives up what takes too long, and whether there was any: then there are new threads.
    fn give_up_late(
        &mut self,
        jobs: &[Arc<Job>],
        findings: &mut [Option<Findings>],
        limit: Duration,
    ) -> bool {
        let mut any = false;
        for (job, found) in jobs.iter().zip(findings).filter(|(_, found)| found.is_none()) {
            if job.started.get().is_some_and(|started| started.elapsed() > limit) {
                *found = Some(job.give_up(limit));
                any = true;
            }
        }
        if any {
            self.pool = pool(self.threads);
            let left = self.left.load(Ordering::Relaxed);
            assert!(
                left <= MOST_LEFT,
                "{left} images take longer than limits.decode_seconds = {}",
                limit.as_secs()
            );
        }
        any
    }
}

impl Job {
    fn start(self: &Arc<Self>, at: usize, pool: &ThreadPool, ended: &Sender<Ended>) {
        let (job, ended) = (Arc::clone(self), ended.clone());
        pool.spawn(move || {
            // A pool before this one may have it in its queue too.
            if job.is_taken.swap(true, Ordering::Relaxed) {
                return;
            }
            let _ = job.started.set(Instant::now());
            let found = catch_unwind(AssertUnwindSafe(|| match &job.skip {
                Some(skip) => Findings::untouched(&job.sample, skip.clone()),
                None => prepare_one(&job.sample, &job.spec),
            }));
            if job.is_given_up.load(Ordering::Acquire) {
                job.left.fetch_sub(1, Ordering::Relaxed);
            }
            // Whoever gave it up does not listen any more.
            let _ = ended.try_send((at, found));
        });
    }

    fn give_up(&self, limit: Duration) -> Findings {
        self.left.fetch_add(1, Ordering::Relaxed);
        self.is_given_up.store(true, Ordering::Release);
        let detail = format!("decoding took longer than limits.decode_seconds = {}", limit.as_secs());
        tracing::warn!(row = self.sample.row, "{detail}");
        let skip = Skip::For { status: RowStatus::ImageUndecodable, detail: Some(detail) };
        Findings::untouched(&self.sample, skip)
    }
}

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().expect("the system gives a few threads")
}

thread_local! {
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

fn prepare_one(sample: &Sample, spec: &PrepareSpec) -> Findings {
    #[cfg(feature = "poison")]
    crate::poison::strike("decode", &[sample.row]);
    RESIZER.with_borrow_mut(|resizer| prepare(sample, spec, resizer))
}

/// The preparation of images and texts under the limits of a job or a retry.
pub(crate) fn limited(spec: &PrepareSpec, limits: &Limits) -> PrepareSpec {
    let images = ImageLimits {
        bytes: limits.image_bytes.0,
        pixels: limits.pixels,
        min_side: limits.min_side,
        ..spec.limits
    };
    PrepareSpec { limits: images, text_bytes: limits.text_bytes.0, ..spec.clone() }
}

/// How long one image may take.
pub(crate) fn time_limit(limits: &Limits) -> Duration {
    Duration::from_secs(limits.decode_seconds.into())
}
