//! A pause and a drain, as a run obeys them.

use super::job::{Job, script};
use capfilt_coordinator::{
    control,
    dispatch::{Change, Outcome},
};
use capfilt_schemas::control::Action;
use std::time::Duration;

/// Longest wait of these tests for anything.
const LIMIT: Duration = Duration::from_secs(30);

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited too long: {what}"));
}

impl Job {
    fn count(&self, is_one: impl Fn(&Change) -> bool) -> usize {
        self.changes.lock().unwrap().iter().filter(|change| is_one(change)).count()
    }

    fn committed(&self) -> usize {
        self.count(|change| matches!(change, Change::Committed { .. }))
    }

    async fn control(&self, action: Action) {
        let control = control::write(&self.world.bucket(), action, "test").await.unwrap();
        let is_it = |change: &Change| matches!(change, Change::Controlled(seen) if *seen == control);
        until("the run reads the control", || self.count(is_it) > 0).await;
    }
}

/// A child whose shards take a tenth of a second.
fn slow() -> String {
    script("", "touch \"$FOLDER/began.$id\"; sleep 0.1")
}

fn began(job: &Job) -> usize {
    let names = std::fs::read_dir(job.folder()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("began.")).count()
}

#[tokio::test]
async fn a_paused_run_hands_out_no_shard_and_finishes_the_job_when_it_is_resumed() {
    let job = Job::new(60).await;
    let steps = async {
        until("a first commit", || job.committed() > 0).await;
        job.control(Action::Pause).await;
        let at_pause = job.committed();
        until("the held shards are finished", || job.committed() == began(&job)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let paused = job.committed();
        assert_eq!(paused, began(&job), "a shard began during the pause");
        assert!(
            paused <= at_pause + 4,
            "{at_pause} at the pause, {paused} later: two children hold two each"
        );
        assert!(paused < 60, "the job was done before the pause");
        job.control(Action::Resume).await;
    };
    let script = slow();
    let (report, ()) = tokio::join!(job.finish(2, &script), steps);
    assert_eq!((report.committed, began(&job)), (60, 60));
}

#[tokio::test]
async fn a_drained_run_finishes_what_it_holds_and_ends_as_interrupted() {
    let job = Job::new(60).await;
    let steps = async {
        until("a first commit", || job.committed() > 0).await;
        job.control(Action::Drain).await;
    };
    let (script, stop) = (slow(), tokio::sync::watch::channel(false).1);
    let (outcome, ()) = tokio::join!(job.run_until(2, &script, stop), steps);
    let Outcome::Interrupted(report) = outcome.unwrap() else { panic!("shards are open") };
    assert_eq!(report.committed as usize, began(&job), "a shard that began is committed");
    assert!(report.committed < 60, "the job was done before the drain");
    let unfinished = |change: &Change| matches!(change, Change::Leaving { finishing: 1.., .. });
    assert_eq!(job.count(unfinished), 0, "the run ended with a shard in process");
    assert!(job.failures().await.is_empty());
}

#[tokio::test]
async fn a_run_of_a_paused_job_starts_no_child_before_it_is_resumed() {
    let job = Job::new(3).await;
    control::write(&job.world.bucket(), Action::Pause, "earlier").await.unwrap();
    let steps = async {
        until("the run says that it is paused", || job.count(|c| matches!(c, Change::Controlled(_))) == 1)
            .await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(job.count(|change| matches!(change, Change::WorkerStarted { .. })), 0);
        job.control(Action::Resume).await;
    };
    let script = slow();
    let (report, ()) = tokio::join!(job.finish(1, &script), steps);
    assert_eq!(report.committed, 3);
}
