//! Threads that decode and resize images, and the time limit of one image.
//!
//! A codec cannot be interrupted. A row that exceeds the limit is given up and keeps its thread; new threads
//! take over. The memory of such threads has a bound too: with more than `MOST_LEFT` of them the process
//! ends, and its rows become suspected.

use crate::skip_list::SkipList;
use capfilt_pipeline::{
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

/// Most threads that may be occupied by images which exceed the limit. Memory: each holds an image of at most
/// `limits.pixels`.
const MOST_LEFT: usize = 4;

/// Interval of the checks for late images while no row ends.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// A pool of decoding threads.
pub(crate) struct Decoders {
    threads: usize,
    pool: ThreadPool,
    /// Threads of earlier pools that still decode an image.
    left: Arc<AtomicUsize>,
}

/// Preparation of one row.
struct Job {
    sample: Sample,
    /// Reason why the row is skipped, if it is.
    skip: Option<Skip>,
    spec: Arc<PrepareSpec>,
    is_taken: AtomicBool,
    started: OnceLock<Instant>,
    /// No caller waits for the row.
    is_given_up: AtomicBool,
    left: Arc<AtomicUsize>,
}

type Ended = (usize, Result<Findings, Box<dyn Any + Send>>);

impl Decoders {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads, pool: pool(threads), left: Arc::default() }
    }

    /// Prepares rows in order. An image that takes longer than `limit` is undecodable.
    ///
    /// # Panics
    /// A panic of a row's preparation, and more than `MOST_LEFT` images that exceed the limit.
    pub(crate) fn prepare_all(
        &mut self,
        samples: Vec<Sample>,
        spec: &PrepareSpec,
        skip_list: &SkipList,
        limit: Duration,
    ) -> Vec<Prepared> {
        let spec = Arc::new(spec.clone());
        let job = |sample: Sample| self.job(skip_list.skip(sample.row), sample, &spec);
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
            match ends.recv_timeout(CHECK_EVERY) {
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
            found.expect("every row is prepared").of(job.sample.clone()) // the image's bytes are shared
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

    /// Gives up late rows. Returns whether there was one: then the pool has new threads.
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
            // An earlier pool may have the row in its queue too.
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
            // After the row was given up, no caller receives the message.
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
    ThreadPoolBuilder::new().num_threads(threads).build().expect("the system provides a few threads")
}

thread_local! {
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

fn prepare_one(sample: &Sample, spec: &PrepareSpec) -> Findings {
    #[cfg(feature = "poison")]
    crate::poison::strike("decode", &[sample.row]);
    RESIZER.with_borrow_mut(|resizer| prepare(sample, spec, resizer))
}

/// Specification of the preparation under the limits of a job or a retry.
pub(crate) fn limited(spec: &PrepareSpec, limits: &Limits) -> PrepareSpec {
    PrepareSpec { limits: spec.limits.with(limits), text_bytes: limits.text_bytes.0, ..spec.clone() }
}

/// Time limit of one image.
pub(crate) fn time_limit(limits: &Limits) -> Duration {
    Duration::from_secs(limits.decode_seconds.into())
}
