//! Ctrl-C and SIGTERM as a watched value.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};

/// Limit after the second signal for ending child processes and returning their shards.
const IN_A_HURRY: Duration = Duration::from_secs(10);

/// Whether the end of standard input is also a signal to stop.
static WITH_PARENT: AtomicBool = AtomicBool::new(false);

/// Makes [`on_signal`] also react to the end of standard input: the parent process has ended, or requests the
/// stop.
pub fn with_parent() {
    WITH_PARENT.store(true, Ordering::Relaxed);
}

/// Waits for the end of standard input, if that is a signal.
async fn parent_is_gone() {
    if !WITH_PARENT.load(Ordering::Relaxed) {
        return std::future::pending().await;
    }
    let (ended, wait) = oneshot::channel();
    // A detached thread, because a blocking read of a pipe cannot be cancelled.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = wait.await;
}

/// SIGXFSZ, which the kernel sends to a process that writes beyond `ulimit -f`. The number is that of Linux
/// on all architectures but MIPS.
const FILE_TOO_LARGE: i32 = 25;

/// Turns a write beyond the file-size limit into an error instead of the end of the process. Call it within a
/// runtime.
pub fn outlive_file_size_limit() {
    // A signal with a handler does not end the process; the handler's stream may be dropped.
    if let Err(error) = signal(SignalKind::from_raw(FILE_TOO_LARGE)) {
        tracing::debug!(%error, "SIGXFSZ cannot be caught; a file-size limit will end this process");
    }
}

/// Ignores Ctrl-C: a terminal sends it to the whole process group, and the parent process decides. Call it
/// within a runtime.
pub fn ignore_terminal_interrupt() {
    tokio::spawn(async {
        if let Ok(mut interrupt) = signal(SignalKind::interrupt()) {
            while interrupt.recv().await.is_some() {}
        }
    });
}

/// As [`on_signal`], for work without a runtime: a flag that becomes true at the first signal.
pub fn flag() -> Arc<AtomicBool> {
    let (mut stopped, flag) = (on_signal(), Arc::new(AtomicBool::new(false)));
    let shared = Arc::clone(&flag);
    tokio::spawn(async move {
        if stopped.wait_for(|stopped| *stopped).await.is_ok() {
            shared.store(true, Ordering::Relaxed);
        }
    });
    flag
}

/// Returns a value that becomes true at the first SIGINT or SIGTERM, and notifies again at the second one:
/// then no further shard is finished. A third signal ends the process at once.
pub fn on_signal() -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            tracing::warn!(
                "signals cannot be caught here; Ctrl-C ends the program at once, which is safe too"
            );
            return;
        };
        let mut signalled =
            async || tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} };
        tokio::select! { () = signalled() => {}, () = parent_is_gone() => {} }
        crate::line(
            "capfilt: stopping; what is committed is safe, and running the same command again resumes",
        );
        let _ = stop.send(true);
        signalled().await;
        let _ = stop.send(true);
        let _ = tokio::time::timeout(IN_A_HURRY, signalled()).await;
        crate::Exit::Interrupted.leave();
    });
    stopped
}

/// Awaits a future; returns `None` and drops the future if the stop comes first. For futures that may be
/// dropped without a cleanup.
pub async fn unless<T>(stop: &watch::Receiver<bool>, future: impl Future<Output = T>) -> Option<T> {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        Ok(_) = stop.wait_for(|stop| *stop) => None,
        value = future => Some(value),
    }
}
