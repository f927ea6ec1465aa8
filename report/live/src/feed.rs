//! One reader of the bucket for all watchers of the page.
//!
//! The reader reads while a page is watched, and for a moment after a request; without a watcher the page
//! costs the store nothing. Each snapshot is rendered once, and every watcher gets the same text.

use crate::{
    sections::{self, Section},
    snapshot::{Snapshot, SnapshotReader},
};
use capfilt_coordinator::JobError;
use capfilt_store::Location;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

/// Least interval between two readings of a local folder.
const EVERY_LOCAL: Duration = Duration::from_millis(1000);

/// Least interval between two readings of any other store.
const EVERY_REMOTE: Duration = Duration::from_secs(5);

/// Interval in multiples of the duration of a reading, so that a large job is read less often.
const TIMES_LONGER: u32 = 4;

/// Longest wait of a page for a new snapshot; then it shows the last one.
const PAGE_WAITS: Duration = Duration::from_secs(3);

/// A rendered snapshot.
pub(crate) struct View {
    pub snapshot: Snapshot,
    pub sections: Vec<Section>,
    read_at: Instant,
}

/// The views of a job.
#[derive(Clone)]
pub(crate) struct Feed {
    views: watch::Sender<Arc<View>>,
    demand: Arc<Notify>,
    every: Duration,
}

impl Feed {
    /// Reads a first view, and starts the reader, which ends with the runtime.
    ///
    /// # Errors
    /// A job that cannot be read.
    pub async fn open(bucket: Arc<Location>) -> Result<Self, JobError> {
        let first = SnapshotReader::open(&bucket).await?.read().await?;
        let every = if bucket.local_path().is_some() { EVERY_LOCAL } else { EVERY_REMOTE };
        let (views, demand) = (watch::channel(Arc::new(View::of(first, &[]))).0, Arc::new(Notify::new()));
        let feed = Self { views, demand, every };
        tokio::spawn(keep_reading(bucket, feed.clone()));
        Ok(feed)
    }

    /// All further views, for a watcher.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        let views = self.views.subscribe();
        self.demand.notify_one();
        views
    }

    /// A view that is at most one interval old, if the store answers in time.
    pub async fn current(&self) -> Arc<View> {
        let is_new = |view: &Arc<View>| view.read_at.elapsed() <= self.every;
        let mut views = self.watch();
        let found = timeout(PAGE_WAITS, views.wait_for(is_new)).await;
        match found {
            Ok(Ok(view)) => Arc::clone(&view),
            _ => Arc::clone(&self.views.borrow()),
        }
    }
}

impl View {
    fn of(snapshot: Snapshot, before: &[Section]) -> Self {
        Self { sections: sections::render(&snapshot, before), snapshot, read_at: Instant::now() }
    }
}

async fn keep_reading(bucket: Arc<Location>, feed: Feed) {
    let mut reader = None;
    loop {
        if feed.views.receiver_count() == 0 {
            feed.demand.notified().await;
        }
        let began = Instant::now();
        let read = async {
            let reader = match &mut reader {
                Some(reader) => reader,
                none => none.insert(SnapshotReader::open(&bucket).await?),
            };
            reader.read().await
        };
        let read: Result<Snapshot, JobError> = read.await;
        let before = Arc::clone(&feed.views.borrow());
        let snapshot = match read {
            Ok(snapshot) => snapshot,
            Err(error) => Snapshot { error: Some(error.to_string()), ..before.snapshot.clone() },
        };
        feed.views.send_replace(Arc::new(View::of(snapshot, &before.sections)));
        sleep(feed.every.max(began.elapsed() * TIMES_LONGER)).await;
    }
}
