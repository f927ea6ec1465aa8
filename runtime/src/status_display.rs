//! Display of a job's status: once, or again and again until the job is done.

use crate::release;
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, Failure, Screen, outln};
use capfilt_coordinator::{
    Status, StatusReader,
    dispatch::cluster::{Connection, ConnectionError, Listener, Live, queue_names},
};
use capfilt_store::Location;
use std::time::Duration;

/// Interval of the refreshes; each one costs a listing of all commits.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Time to collect the workers' reports: each worker reports once a second.
const LISTEN: Duration = Duration::from_millis(2500);

/// Limit for an answer of NATS.
const NATS_TIMEOUT: Duration = Duration::from_secs(5);

/// Form of the display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// JSON objects instead of text.
    pub is_json: bool,
    /// Refresh until the job is done.
    pub is_watch: bool,
}

/// Shows the status of a job; with `link`, also the current work of its workers.
///
/// # Errors
/// A missing job, and a store or a cluster that fails.
pub async fn show(bucket: &Location, link: Option<&Connection>, form: Form) -> Ending {
    release::warn_of(bucket).await;
    let mut reader = StatusReader::open(bucket).await.or_environment_error()?;
    let mut listener = listener(link, bucket).await?;
    let mut display = Display::open(bucket.url_of("").trim_end_matches('/').to_owned(), form);
    loop {
        let status = reader.read().await.or_environment_error()?;
        let live = match &mut listener {
            // Collecting the reports takes the place of the wait for the next refresh.
            Some(listener) => Some(listener.listen(LISTEN).await),
            None => None,
        };
        if status.done || !form.is_watch || console::is_output_lost() {
            return display.finish(&status, live.as_ref()).map(|()| Exit::Done);
        }
        let pause = if listener.is_none() { WATCH_EVERY } else { Duration::ZERO };
        display.show(&status, live.as_ref(), pause).await?;
    }
}

/// Opens the cluster's listener. If the cluster cannot be reached, the bucket alone is read, which decides
/// anyway; a refused connection is an error.
async fn listener(link: Option<&Connection>, bucket: &Location) -> Result<Option<Listener>, Failure> {
    let Some(link) = link else { return Ok(None) };
    let names = queue_names(bucket).await.or_environment_error()?;
    match Listener::open(link, names, NATS_TIMEOUT).await {
        Err(error @ (ConnectionError::Unreachable { .. } | ConnectionError::NoJetStream { .. })) => {
            console::line(format!("{error}; the following lines are from the bucket only"));
            Ok(None)
        }
        opened => opened.or_environment_error().map(Some),
    }
}

/// Output of the refreshes: the window of a terminal, else lines.
struct Display {
    url: String,
    form: Form,
    screen: Option<Screen>,
    /// The line that was printed last.
    last: String,
}

impl Display {
    fn open(url: String, form: Form) -> Self {
        let screen = if form.is_watch && !form.is_json { Screen::open() } else { None };
        Self { url, form, screen, last: String::new() }
    }

    /// Shows a status in between, and waits.
    async fn show(&mut self, status: &Status, live: Option<&Live>, pause: Duration) -> Result<(), Failure> {
        let url = &self.url;
        let draw = |screen: &Screen| {
            let (columns, lines) = screen.size();
            screen.draw(&status.dashboard(live, url, columns, lines));
        };
        match &mut self.screen {
            Some(screen) => {
                draw(screen);
                screen.wait(pause, draw).await;
            }
            None => {
                self.print(status, live)?;
                tokio::time::sleep(pause).await;
            }
        }
        Ok(())
    }

    /// Shows the last status: on a terminal as a page, which stays.
    fn finish(mut self, status: &Status, live: Option<&Live>) -> Result<(), Failure> {
        let had_screen = self.screen.take().is_some();
        if self.form.is_json || self.form.is_watch && !had_screen {
            return self.print(status, live);
        }
        outln!("{}", status.page(live).trim_end_matches('\n'));
        Ok(())
    }

    /// Prints a JSON object, or a line if it differs from the last one.
    fn print(&mut self, status: &Status, live: Option<&Live>) -> Result<(), Failure> {
        let line = if self.form.is_json {
            let mut value = serde_json::to_value(status).or_environment_error()?;
            value["live"] = serde_json::to_value(live).or_environment_error()?;
            value.to_string()
        } else {
            status.line(live)
        };
        if line != self.last {
            outln!("{line}");
            // The reader of a pipe sees each line at once.
            console::flush();
            self.last = line;
        }
        Ok(())
    }
}
