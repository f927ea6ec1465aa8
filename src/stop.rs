//! Ctrl-C and SIGTERM as a value.

use std::time::Duration;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// How long the second signal's work may take: ending children, and giving their shards back.
const IN_A_HURRY: Duration = Duration::from_secs(10);

/// Turns true at the first SIGINT or SIGTERM, and says so again at the second: then nothing is finished any more. A third
/// one ends the process at once.
pub fn on_signal() -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            tracing::warn!("signals cannot be caught here; Ctrl-C ends the program at once, which is safe too");
            return;
        };
        let mut told = async || tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} };
        told().await;
        crate::say::line("capfilt: stopping; what is committed is safe, and running the same command again resumes");
        let _ = stop.send(true);
        told().await;
        let _ = stop.send(true);
        let _ = tokio::time::timeout(IN_A_HURRY, told()).await;
        std::process::exit(crate::exit::Exit::Interrupted as i32);
    });
    stopped
}
