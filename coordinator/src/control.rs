//! Control records: requests to pause, resume or drain a job, which every process of the job obeys.
//!
//! The records are the whole state of a pause: the sender may end at once, and a process that starts later
//! obeys too. A drain ends the processes of a job; the next `capfilt run` ends the drain with a record.

use crate::job::{JobError, digest, find_with_digest};
use capfilt_schemas::{
    control::{Action, Control},
    job::JobDigest,
    object_keys,
};
use capfilt_store::{Location, PutOutcome, StoreError, strays, without_secrets};
use futures::TryStreamExt as _;
use std::{collections::BTreeSet, time::SystemTime};

/// Damaged controls that a reading skips, from the newest one down, before it finds no control in force.
const MOST_DAMAGED: usize = 16;

/// Writes a control record; it is in force when the future is ready. `who` names the sender, for people.
///
/// # Errors
/// A missing job, and a failing store.
pub async fn write(bucket: &Location, action: Action, who: &str) -> Result<Control, JobError> {
    let missing = || JobError::NoJob { url: without_secrets(&bucket.url) };
    let (_, job) = find_with_digest(bucket).await?.ok_or_else(missing)?;
    let highest = numbers(bucket).await?.last().copied();
    let mut control = Control::new(action, now_ms(), who, Some(job));
    control.n = highest.map_or(Ok(0), |n| after(bucket, n))?;
    loop {
        match bucket.create_record(&object_keys::control(control.n), &control).await? {
            PutOutcome::Created => return Ok(control),
            // A job has few controls, so the loop ends soon.
            PutOutcome::Exists(_) => control.n = after(bucket, control.n)?,
        }
    }
}

/// Resumes a drained job; the control of any other job stays in force.
///
/// # Errors
/// As [`write()`].
pub async fn end_drain(bucket: &Location, who: &str) -> Result<(), JobError> {
    let newest = ControlReader::new(bucket, digest(bucket).await?).read().await?;
    if newest.is_some_and(|control| control.action == Action::Drain) {
        write(bucket, Action::Resume, who).await?;
    }
    Ok(())
}

/// Reads the control in force repeatedly: one listing each time, and each record once.
pub struct ControlReader {
    bucket: Location,
    job: Option<JobDigest>,
    /// Highest number at the last reading.
    highest: Option<u32>,
    newest: Option<Control>,
}

impl ControlReader {
    /// A reader for the job with this digest.
    pub fn new(bucket: &Location, job: Option<JobDigest>) -> Self {
        Self { bucket: bucket.clone(), job, highest: None, newest: None }
    }

    /// The control in force: the readable one with the highest number.
    ///
    /// # Errors
    /// A failing store, and a control of a newer version of the program.
    pub async fn read(&mut self) -> Result<Option<Control>, StoreError> {
        let numbers = numbers(&self.bucket).await?;
        for n in numbers.iter().rev().take(MOST_DAMAGED) {
            if self.highest == Some(*n) {
                break;
            }
            if let Some(control) = self.read_one(*n).await? {
                self.newest = Some(control);
                break;
            }
        }
        self.highest = numbers.last().copied();
        Ok(self.newest.clone())
    }

    async fn read_one(&self, n: u32) -> Result<Option<Control>, StoreError> {
        let misplaced = |control: &Control| {
            let copied = || format!("it is a copy of {}", object_keys::control(control.n));
            (control.n != n).then(copied).or_else(|| self.job.as_ref()?.foreign(control.job.as_ref()))
        };
        strays::read(&self.bucket, &object_keys::control(n), misplaced).await
    }
}

async fn numbers(bucket: &Location) -> Result<BTreeSet<u32>, StoreError> {
    let mut listed = bucket.list(object_keys::CONTROLS);
    let mut numbers = BTreeSet::new();
    while let Some((name, meta)) = listed.try_next().await? {
        match object_keys::parse_control(&name) {
            Some(n) => drop(numbers.insert(n)),
            None if meta.size > 0 => strays::pass_over(bucket, &name, "the name is not that of a control"),
            None => {}
        }
    }
    Ok(numbers)
}

fn after(bucket: &Location, n: u32) -> Result<u32, JobError> {
    n.checked_add(1).ok_or_else(|| JobError::Damaged {
        object: bucket.url_of(&object_keys::control(n)),
        why: "it has the highest possible number, and capfilt did not write it".to_owned(),
    })
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
