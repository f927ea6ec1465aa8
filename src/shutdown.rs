//! Ctrl-C and SIGTERM as a value.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};

/// How long the second signal's work may take: ending children, and giving their shards back.
const IN_A_HURRY: Duration = Duration::from_secs(10);

/// Whether the end of standard input is a signal to stop, too.
static WITH_PARENT: AtomicBool = AtomicBool::new(false);

/// From now on [`on_signal`] also means the end of standard input: our parent is gone, or wants us to go.
pub fn with_parent() {
    WITH_PARENT.store(true, Ordering::Relaxed);
}

/// Waits for the end of standard input, if that is a signal.
async fn parent_is_gone() {
    if !WITH_PARENT.load(Ordering::Relaxed) {
        return std::future::pending().await;
    }
    let (ended, wait) = oneshot::channel();
    // A thread that nobody waits for: reading a pipe cannot be called off.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = wait.await;
}

/// SIGXFSZ, which the kernel sends to a process that writes beyond `ulimit -f`. The number is Linux's on all
/// but MIPS.
const FILE_TOO_LARGE: i32 = 25;

/// Has a write beyond the file-size limit fail, instead of the process. Call it within a runtime.
pub fn outlive_file_size_limit() {
    // Whoever hears a signal is not ended by it; nobody need listen.
    if let Err(error) = signal(SignalKind::from_raw(FILE_TOO_LARGE)) {
        tracing::debug!(%error, "SIGXFSZ cannot be caught; a file-size limit will end this process");
    }
}

/// Turns true at the first SIGINT or SIGTERM, and says so again at the second: then nothing is finished any
/// more. A third one ends the process at once.
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
        let mut told = async || tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} };
        tokio::select! { () = told() => {}, () = parent_is_gone() => {} }
        crate::console::line(
            "capfilt: stopping; what is committed is safe, and running the same command again resumes",
        );
        let _ = stop.send(true);
        told().await;
        let _ = stop.send(true);
        let _ = tokio::time::timeout(IN_A_HURRY, told()).await;
        std::process::exit(crate::exit::Exit::Interrupted as i32);
    });
    stopped
}

/// What a future gives, or `None` when the stop comes first; the future is dropped then. For waits that leave
/// nothing behind.
pub async fn unless<T>(stop: &watch::Receiver<bool>, future: impl Future<Output = T>) -> Option<T> {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        Ok(_) = stop.wait_for(|stop| *stop) => None,
        value = future => Some(value),
    }
}
