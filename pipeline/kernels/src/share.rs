//! Threads: as many as libtorch has for one operation, the caller's among them.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The caller's helpers, kept from one product to the next. They sleep when there is nothing to do.
static TEAM: Mutex<Option<Arc<ThreadPool>>> = Mutex::new(None);

/// What it costs to wake a helper, in nanoseconds.
const WAKING: usize = 20_000;

/// Does the tasks 0 to `tasks`, which would take one thread about so many nanoseconds; every thread takes the
/// next when it has done one. Helpers are woken if there is enough for them to do.
pub fn share(tasks: usize, nanoseconds: usize, work: impl Fn(usize) + Sync) {
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

/// How many threads work at once.
pub fn threads() -> usize {
    tch::get_num_threads().max(1) as usize
}

/// `None` where no threads are to be had; then the caller works alone.
fn team(helpers: usize) -> Option<Arc<ThreadPool>> {
    let mut team = TEAM.lock().unwrap_or_else(PoisonError::into_inner);
    if team.as_ref().is_none_or(|team| team.current_num_threads() != helpers) {
        let name = |i| format!("kernel-{}", i + 1);
        *team = ThreadPoolBuilder::new().num_threads(helpers).thread_name(name).build().ok().map(Arc::new);
    }
    team.clone()
}

/// Memory that tasks write disjoint parts of.
pub struct Shared(*mut u8);

// SAFETY: an address is no access; whoever writes through it promises that no other task does there.
unsafe impl Sync for Shared {}

impl Shared {
    pub fn new(at: *mut u8) -> Self {
        Self(at)
    }

    pub fn at(&self) -> *mut u8 {
        self.0
    }
}
