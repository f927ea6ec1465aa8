//! Work beside the threads that answer requests.

use tokio::runtime::Handle;

/// Runs work on a thread for blocking work: it computes, or its future may not move to another thread. `None`
/// if it panics.
pub(crate) async fn aside<T: Send + 'static, F: Future<Output = T>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(move || Handle::current().block_on(work())).await.ok()
}
