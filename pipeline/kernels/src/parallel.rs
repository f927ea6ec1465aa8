//! Parallel loops on as many threads as libtorch uses for one operation, including the calling thread.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Helper threads, kept between calls. Helper threads without a task sleep.
static TEAM: Mutex<Option<Arc<ThreadPool>>> = Mutex::new(None);

/// Time to wake a helper thread, in nanoseconds.
const WAKING: usize = 20_000;

/// Runs the tasks 0 to `tasks`. Each thread takes the next task when it has finished one. `nanoseconds`
/// estimates the time of one thread for all tasks: helper threads are woken only if the estimate exceeds the
/// time to wake them.
pub fn parallel_for(tasks: usize, nanoseconds: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let take = || {
        while let Some(task) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|task| *task < tasks) {
            work(task);
        }
    };
    let helpers = threads().min(tasks).saturating_sub(1).min(nanoseconds / WAKING);
    match (helpers > 0).then(|| team(threads() - 1)).flatten() {
        Some(team) => team.in_place_scope(|scope| {
            (0..helpers).for_each(|_| scope.spawn(|_| take()));
            take();
        }),
        None => take(),
    }
}

/// Number of threads of a loop.
pub fn threads() -> usize {
    tch::get_num_threads().max(1) as usize
}

/// The helper threads; `None` if the system refuses threads, and then the calling thread computes alone.
fn team(helpers: usize) -> Option<Arc<ThreadPool>> {
    let mut team = TEAM.lock().unwrap_or_else(PoisonError::into_inner);
    if team.as_ref().is_none_or(|team| team.current_num_threads() != helpers) {
        let name = |i| format!("kernel-{}", i + 1);
        *team = ThreadPoolBuilder::new().num_threads(helpers).thread_name(name).build().ok().map(Arc::new);
    }
    team.clone()
}

/// Memory of which each task writes a disjoint part.
pub struct Shared(*mut u8);

// SAFETY: the struct holds only an address; each write through the address has a SAFETY comment that no other
// task writes there.
unsafe impl Sync for Shared {}

impl Shared {
    pub fn new(at: *mut u8) -> Self {
        Self(at)
    }

    pub fn at(&self) -> *mut u8 {
        self.0
    }
}
