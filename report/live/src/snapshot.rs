//! Everything that the page shows of a job at one time, read from its bucket.

use crate::samples::Samples;
use capfilt_coordinator::{
    CommitName, JobError, ShardGrid, Status, StatusReader, control::ControlReader, job,
};
use capfilt_schemas::{
    control::{Action, Control},
    job::JobDigest,
};
use capfilt_store::Location;
use std::sync::Arc;

/// Most cells of the grid of shards; a cell of a larger job has several shards.
const CELLS: usize = 400;

/// Most shards with failed attempts that are shown, each with one message.
const FAILED: usize = 50;

/// A job at one time.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub status: Status,
    pub grid: ShardGrid,
    pub control: Option<Control>,
    /// Newest commits, newest first. Memory: about 100 bytes for each of at most a few thousand.
    pub commits: Arc<[CommitName]>,
    pub samples: Samples,
    /// Error of the last reading; the other fields are then those of the reading before.
    pub error: Option<String>,
}

impl Snapshot {
    /// The pause or the drain that is in force.
    pub fn hold(&self) -> Option<&Control> {
        self.control.as_ref().filter(|control| control.action != Action::Resume)
    }
}

/// Reads snapshots of a job.
pub(crate) struct SnapshotReader<'a> {
    bucket: &'a Location,
    digest: Option<JobDigest>,
    status: StatusReader<'a>,
    controls: ControlReader,
    samples: Samples,
}

impl<'a> SnapshotReader<'a> {
    pub async fn open(bucket: &'a Location) -> Result<Self, JobError> {
        let status = StatusReader::open(bucket).await?;
        let digest = job::digest(bucket).await?;
        let controls = ControlReader::new(bucket, digest.clone());
        Ok(Self { bucket, digest, status, controls, samples: Samples::default() })
    }

    pub async fn read(&mut self) -> Result<Snapshot, JobError> {
        let status = self.status.read().await?;
        let control = self.controls.read().await?;
        let commits: Arc<[CommitName]> = self.status.newest_commits().into();
        self.samples.take_newer(self.bucket, self.digest.as_ref(), &commits).await;
        let grid = self.status.grid(CELLS, FAILED);
        Ok(Snapshot { status, grid, control, commits, samples: self.samples.clone(), error: None })
    }
}
