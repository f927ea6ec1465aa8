//! `--metrics ADDRESS`: the metrics of this process.

use anyhow::Context as _;
use capfilt_console::{self as console, ExitCodeExt as _, Failure};
use capfilt_coordinator::metrics::{self, SharedMetrics};
use std::net::SocketAddr;

/// Starts the metrics of this process and serves them if `address` is set.
pub async fn start(address: Option<SocketAddr>) -> Result<SharedMetrics, Failure> {
    let shared = SharedMetrics::start();
    if let Some(address) = address {
        let cannot = || {
            format!(
                "cannot serve metrics at {address}; does another process use it? Port 0 selects a free port"
            )
        };
        let served = metrics::serve(address, shared.clone()).await;
        let bound = served.with_context(cannot).or_environment_error()?;
        console::line(format!("metrics at http://{bound}/metrics"));
    }
    Ok(shared)
}
