//! Ctrl-C and SIGTERM as a value.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Turns true at the first SIGINT or SIGTERM. A second one ends the process at once.
pub fn on_signal() -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            tracing::warn!("signals cannot be caught here; Ctrl-C ends the program at once, which is safe too");
            return;
        };
        for again in [false, true] {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            if again {
                std::process::exit(crate::exit::Exit::Interrupted as i32);
            }
            eprintln!("capfilt: stopping; what is committed is safe, and running the same command again resumes");
            let _ = stop.send(true);
        }
    });
    stopped
}
