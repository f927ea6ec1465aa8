//! Tests of the local dispatcher with real child processes: shell scripts that speak the protocol and die in
//! many ways.

mod control;
mod job;
mod stop;

use capfilt_coordinator::{
    JobState,
    dispatch::{Change, DispatchError, Work, local, worker_pool::WorkerPool},
};
use capfilt_schemas::failure::FailureClass;
use job::{Job, script};
use std::time::Duration;
use tokio::{process::Command, sync::watch};

/// Runs `action` for the first `times` children that reach this line. `mkdir` succeeds once per folder, so
/// children that arrive at the same time are counted separately.
fn first(times: u32, action: &str) -> String {
    let tokens: Vec<String> = (0..times).map(|i| format!("mkdir \"$FOLDER/took.{i}\"")).collect();
    format!("if {{ {}; }} 2>/dev/null; then {action}; fi", tokens.join(" || "))
}

#[tokio::test]
async fn every_shard_is_committed_by_the_children_there_are() {
    let job = Job::new(12).await;
    let report = job.finish(2, &script("echo a line for people >&2", "")).await;
    assert_eq!((report.committed, report.rows, report.retries, report.restarts), (12, 120, 0, 0));
    let last = job.last.lock().unwrap().clone();
    assert_eq!(
        (last.shards_total, last.shards_committed, last.rows_total, last.rows_done),
        (12, 12, 120, 120)
    );
    assert_eq!(last.tally.rows_total(), 120);
    let lines = |text: &str| {
        job.changes
            .lock()
            .unwrap()
            .iter()
            .filter(|c| matches!(c, Change::WorkerSaid { line, .. } if line == text))
            .count()
    };
    assert_eq!((lines("a line for people"), lines("a library prints this")), (2, 2));
}

#[tokio::test]
async fn a_child_that_crashes_is_replaced_and_its_shard_tried_again() {
    let job = Job::new(6).await;
    let report = job.finish(2, &script("", &first(1, "kill -SEGV $$"))).await;
    assert_eq!((report.committed, report.retries, report.restarts), (6, 1, 1));
    assert_eq!(job.failures().await, [FailureClass::WorkerCrashed]);
    let ends: Vec<_> = job.changes.lock().unwrap().clone();
    assert!(
        ends.iter().any(|c| matches!(c, Change::WorkerEnded { how, .. } if how == "signal 11 (SIGSEGV)")),
        "{ends:?}"
    );
}

#[tokio::test]
async fn a_shard_that_ends_every_child_is_quarantined_and_the_others_are_done() {
    let job = Job::new(6).await;
    let poison = job.plan[2].id.clone();
    let report = job.finish(2, &script("", &format!("[ $id != {poison} ] || exit 101"))).await;
    assert_eq!((report.committed, report.quarantined.len(), report.restarts), (5, 1, 3));
    assert_eq!(report.quarantined[0].shard, poison);
    assert_eq!(job.failures().await, [FailureClass::WorkerCrashed; 3]);
    // The next run has no work with the shard.
    let job_state = JobState::read(&job.world.bucket()).await.unwrap();
    assert_eq!(Work::remaining(&job.plan, &job_state, job.attempts).before.shards_quarantined, 1);
}

#[tokio::test]
async fn a_kill_from_outside_uses_up_no_try_of_its_shard() {
    let mut job = Job::new(3).await;
    job.attempts = 1;
    let report = job.finish(1, &script("", &first(5, "kill -KILL $$"))).await;
    assert_eq!((report.committed, report.quarantined.len(), report.restarts), (3, 0, 5));
    assert_eq!(job.failures().await, [FailureClass::WorkerKilled; 5]);
}

#[tokio::test]
async fn kills_without_a_commit_in_between_stop_the_run() {
    let mut job = Job::new(3).await;
    job.policy.kills = 4;
    let error = job.run(2, &script("", "echo no memory >&2; kill -KILL $$")).await.unwrap_err();
    let DispatchError::WorkersKilled { kills: 4, last_words, .. } = error else { panic!("{error}") };
    assert_eq!(last_words, ["no memory"]);
}

#[tokio::test]
async fn a_child_that_finds_its_surroundings_broken_stops_the_run_with_its_last_words() {
    let job = Job::new(3).await;
    let error =
        job.run(2, &script("echo the weights are torn >&2; exit 3", "")).await.unwrap_err().to_string();
    assert!(error.contains("exit code 3") && error.contains("the weights are torn"), "{error}");
    assert!(job.failures().await.is_empty(), "no shard is blamed");
}

#[tokio::test]
async fn a_child_that_dies_before_it_is_ready_is_tried_a_few_times_only() {
    let job = Job::new(3).await;
    let error = job.run(1, &script("kill -ABRT $$", "")).await.unwrap_err();
    assert!(matches!(error, DispatchError::WorkerCannotStart { .. }), "{error}");
    let started =
        job.changes.lock().unwrap().iter().filter(|c| matches!(c, Change::WorkerStarted { .. })).count();
    assert_eq!(started, 3);
}

#[tokio::test]
async fn a_child_that_hangs_is_killed_and_its_shard_goes_on_elsewhere() {
    let mut job = Job::new(3).await;
    job.policy.silence = Duration::from_millis(500);
    let report = job.finish(1, &script("", &first(1, "exec sleep 1000"))).await;
    assert_eq!((report.committed, report.restarts), (3, 1));
    assert_eq!(job.failures().await, [FailureClass::WorkerHung]);
}

/// Reports rows 0 to 10 as in process, and writes the assignment to a file of the attempt.
const IN_HAND: &str = r#"printf '%s' "$line" > "$FOLDER/assigned.$attempt"
  echo "{\"event\":\"handling\",\"shard\":\"$id\",\"stage\":\"decode\",\"rows\":{\"start\":0,\"end\":10}}""#;

/// Rows that each attempt had to try alone, from its assignment.
fn tried_alone(job: &Job) -> Vec<serde_json::Value> {
    let files = std::fs::read_dir(job.folder()).unwrap().map(|entry| entry.unwrap().path());
    let assigned = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("assigned."));
    let rows = |path| {
        serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).unwrap()).unwrap()["try_alone"]
            .take()
    };
    assigned.map(rows).filter(|rows| !rows.is_null()).collect()
}

#[tokio::test]
async fn the_second_kill_or_silence_with_the_same_rows_in_hand_makes_them_suspects() {
    for end in ["kill -KILL $$", "exec sleep 1000"] {
        let mut job = Job::new(1).await;
        job.policy.silence = Duration::from_millis(500);
        let report = job.finish(1, &script("", &format!("{IN_HAND}; {}", first(2, end)))).await;
        assert_eq!((report.committed, report.restarts), (1, 2), "{end}");
        assert_eq!(tried_alone(&job), [serde_json::json!([{"start": 0, "end": 10}])], "{end}");
    }
}

/// Reports that a shard's attempt failed.
fn fails(class: &str) -> String {
    let ids = r#"\"version\":1,\"shard\":\"$id\",\"attempt\":\"$attempt\",\"worker\":\"w\""#;
    let failure = format!(r#"{{{ids},\"class\":\"{class}\",\"message\":\"m\"}}"#);
    format!(r#"echo "{{\"event\":\"failed\",\"failure\":{failure}}}"; continue"#)
}

#[tokio::test]
async fn a_store_that_fails_again_and_again_stops_the_run_with_its_reason_and_no_shard_is_set_aside() {
    let mut job = Job::new(6).await;
    job.attempts = 4;
    let error = job.run(1, &script("", &fails("store"))).await.unwrap_err();
    let DispatchError::StoreFails { failures: 6, last } = error else { panic!("{error}") };
    assert_eq!(last, "m");
    // The child may have failed once more before its input was closed.
    let failures = job.failures().await;
    assert!(
        failures.len() >= 6 && failures.iter().all(|class| *class == FailureClass::Store),
        "{failures:?}"
    );
    let job_state = JobState::read(&job.world.bucket()).await.unwrap();
    assert_eq!(Work::remaining(&job.plan, &job_state, 4).tasks.len(), 6);
}

#[tokio::test]
async fn a_full_store_stops_the_run_at_once() {
    let job = Job::new(6).await;
    let error = job.run(1, &script("", &fails("store_full"))).await.unwrap_err();
    assert!(matches!(error, DispatchError::Systemic(_)), "{error}");
}

#[tokio::test]
async fn an_idle_child_does_what_a_stopped_one_holds_up_and_the_wasted_rows_are_counted() {
    let job = Job::new(3).await;
    // The first child reports seven finished rows, then stops; the other child executes its shards too.
    let counts = r#"\"web\":{},\"web_kept\":0,\"synthetic\":0,\"synthetic_kept\":0,\"pairs\":0"#;
    let tally = format!(r#"{{\"rows\":{{\"judged\":7}},{counts}}}"#);
    let progress =
        format!(r#"echo "{{\"event\":\"progress\",\"shard\":\"$id\",\"rows\":7,\"tally\":{tally}}}""#);
    let stopped = format!("if [ $WORKER = 0 ]; then {progress}; touch $FOLDER/holds; kill -STOP $$; fi");
    // The second child starts when the first holds a shard.
    let late = "while [ $WORKER = 1 ] && [ ! -e $FOLDER/holds ]; do sleep 0.02; done";
    let report = job.finish(2, &script(late, &stopped)).await;
    assert_eq!((report.committed, report.rows, report.retries, report.restarts), (3, 30, 0, 0));
    assert!(report.copies >= 1, "{report:?}");
    assert_eq!(report.wasted_rows, 7);
    let last = job.last.lock().unwrap().clone();
    assert_eq!((last.rows_total, last.rows_done, last.copies), (30, 30, report.copies));
    assert!(job.failures().await.is_empty());
}

#[tokio::test]
async fn a_failure_a_child_tells_of_is_recorded_and_tried_again() {
    let job = Job::new(4).await;
    let report = job.finish(2, &script("", &first(2, &fails("store")))).await;
    assert_eq!((report.committed, report.retries), (4, 2));
    assert_eq!(job.failures().await, [FailureClass::Store; 2]);
    let job = Job::new(4).await;
    let error = job.run(2, &script("", &fails("failure_budget"))).await.unwrap_err();
    assert!(matches!(error, DispatchError::Systemic(_)), "{error}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_at_once() {
    let job = Job::new(1).await;
    let work = Work::remaining(&job.plan, &JobState::read(&job.world.bucket()).await.unwrap(), 3);
    let command = |_: &str, _: usize| Command::new("/no/such/program");
    let pool = WorkerPool { devices: vec!["cpu".to_owned()], command, policy: job.policy };
    let run = local::run(&job.world.bucket(), work, pool, |_| (), watch::channel(false).1).await;
    assert!(matches!(run.unwrap_err(), DispatchError::Spawn { .. }));
}
