//! A small job that shell scripts execute.

use crate::support::World;
use capfilt_coordinator::{
    JobState,
    dispatch::{
        Change, DispatchError, Orders, Outcome, Progress, Report, Work, local, worker_pool::WorkerPool,
    },
};
use capfilt_schemas::{failure::FailureClass, plan::Shard};
use std::{path::Path, sync::Mutex, time::Duration};
use tokio::{process::Command, sync::watch};

/// A child that commits every shard. `at_start` runs before it is ready, `at_shard` before it commits a shard
/// (`$id`).
pub fn script(at_start: &str, at_shard: &str) -> String {
    format!(
        r#"{at_start}
echo "a library prints this"
echo '{{"event":"ready","device":"fake"}}'
while IFS= read -r line; do
  id=${{line#*\"id\":\"}}; id=${{id%%\"*}}
  attempt=${{line#*\"attempt\":\"}}; attempt=${{attempt%%\"*}}
  echo "{{\"event\":\"started\",\"shard\":\"$id\"}}"
  {at_shard}
  tally='{{"rows":{{"judged":10}},"web":{{}},"web_kept":0,"synthetic":0,"synthetic_kept":0,"pairs":0}}'
  ids="\"shard\":\"$id\",\"attempt\":\"$attempt\""
  echo "{{\"event\":\"committed\",$ids,\"rows\":10,\"superseded\":false,\"tally\":$tally}}"
done"#
    )
}

/// A job and what was observed of its run.
pub struct Job {
    pub world: World,
    pub plan: Vec<Shard>,
    pub policy: local::RetryPolicy,
    pub attempts: u32,
    pub changes: Mutex<Vec<Change>>,
    pub last: Mutex<Progress>,
}

impl Job {
    pub async fn new(shards: usize) -> Self {
        let world = World::new();
        world.write_input("a.parquet", 10 * shards, 10);
        let plan = world.open().await.unwrap().plan;
        let policy = local::RetryPolicy {
            grace: Duration::from_millis(500),
            retry: Duration::from_millis(10),
            restart: Duration::from_millis(10),
            ..local::RetryPolicy::default()
        };
        Self { world, plan, policy, attempts: 3, changes: Mutex::default(), last: Mutex::default() }
    }

    pub fn folder(&self) -> &Path {
        self.world.folder.path()
    }

    pub async fn run(&self, workers: usize, script: &str) -> Result<Outcome, DispatchError> {
        self.run_until(workers, script, watch::channel(false).1).await
    }

    pub async fn run_until(
        &self,
        workers: usize,
        script: &str,
        stop: watch::Receiver<bool>,
    ) -> Result<Outcome, DispatchError> {
        let bucket = self.world.bucket();
        let job_state = JobState::read(&bucket).await.unwrap();
        let mut work = Work::remaining(&self.plan, &job_state, self.attempts);
        work.orders = Orders::follow(&bucket).await.unwrap();
        let command = |_: &str, worker: usize| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).env("FOLDER", self.folder()).env("WORKER", worker.to_string());
            command
        };
        let devices = vec!["fake".to_owned(); workers];
        let observe = |seen: capfilt_coordinator::dispatch::Observation<'_>| {
            self.changes.lock().unwrap().push(seen.change.clone());
            *self.last.lock().unwrap() = seen.progress.clone();
        };
        let pool = WorkerPool { devices, command, policy: self.policy };
        let run = local::run(&bucket, work, pool, observe, stop);
        tokio::time::timeout(Duration::from_secs(60), run).await.expect("a run ends")
    }

    pub async fn finish(&self, workers: usize, script: &str) -> Report {
        match self.run(workers, script).await.unwrap() {
            Outcome::Finished(report) => report,
            Outcome::Interrupted(_) => panic!("no stop was requested"),
        }
    }

    /// Classes of the failure records, in order.
    pub async fn failures(&self) -> Vec<FailureClass> {
        JobState::read(&self.world.bucket())
            .await
            .unwrap()
            .failures
            .into_values()
            .flatten()
            .map(|failure| failure.class)
            .collect()
    }
}
