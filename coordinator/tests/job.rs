//! Tests of starting, resuming and refusing a job, of its status and of its manifest.

use crate::support::World;
use capfilt_coordinator::{JobError, JobState, dispatch::Work, job, manifest, preflight, status};
use capfilt_schemas::{failure::FailureClass, object_keys};

async fn started() -> (World, job::Opened) {
    let world = World::new();
    world.write_input("a.parquet", 30, 10);
    world.write_input("b.parquet", 10, 10);
    let opened = world.open().await.unwrap();
    (world, opened)
}

fn names_of(error: JobError) -> Vec<String> {
    match error {
        JobError::Differs(differences) => differences,
        other => panic!("expected differences: {other}"),
    }
}

#[tokio::test]
async fn a_resumed_job_is_plan_minus_commits_and_opens_no_input_file() {
    let (world, opened) = started().await;
    assert!(!opened.resumed);
    crate::support::work(&world.bucket(), &opened.plan[1], |_| ()).await;
    crate::support::fail(&world.bucket(), &opened.plan[2], FailureClass::InputChanged).await;
    crate::support::fail(&world.bucket(), &opened.plan[3], FailureClass::Store).await;
    let again = world.open().await.unwrap();
    assert!(again.resumed);
    assert_eq!((&again.record, &again.plan), (&opened.record, &opened.plan));
    let job_state = JobState::read(&world.bucket()).await.unwrap();
    let work = Work::remaining(&again.plan, &job_state, 4);
    let left: Vec<_> = work.tasks.iter().map(|task| (&task.shard.id, task.used())).collect();
    assert_eq!(left, [(&opened.plan[0].id, 0), (&opened.plan[3].id, 1)]);
    assert_eq!((work.before.shards_committed, work.before.shards_quarantined, work.before.rows), (1, 1, 10));
}

#[tokio::test]
async fn another_threshold_or_checkpoint_is_refused_by_name() {
    let (mut world, _) = started().await;
    world.settings.filter.web_threshold = 0.25;
    world.model.files[0].sha256 = "cd".repeat(32);
    let differences = names_of(world.open().await.unwrap_err());
    assert_eq!(differences[0], "filter.web_threshold: 0.5 → 0.25");
    assert!(
        differences[1].contains("models.captioner") && differences[1].contains("model.safetensors"),
        "{differences:?}"
    );
    assert_eq!(differences.len(), 3);
}

#[tokio::test]
async fn input_files_that_were_changed_removed_or_added_are_refused_by_name() {
    let (world, _) = started().await;
    world.write_input("a.parquet", 31, 10);
    std::fs::remove_file(world.web("b.parquet")).unwrap();
    world.write_input("c.parquet", 1, 10);
    let differences = names_of(world.open().await.unwrap_err());
    assert!(differences[0].starts_with("input file a.parquet changed"), "{differences:?}");
    assert_eq!(&differences[1..], ["input file b.parquet was removed", "input file c.parquet was added"]);
}

#[tokio::test]
async fn refused_and_rowless_files_are_remembered_and_no_surprise_on_resume() {
    let world = World::new();
    world.write_input("a.parquet", 10, 10);
    world.write_input("no-rows.parquet", 0, 10);
    std::fs::write(world.web("bad.parquet"), "bad").unwrap();
    let opened = world.open().await.unwrap();
    assert_eq!(opened.record.plan.refused[0].path, "bad.parquet");
    assert!(world.open().await.unwrap().resumed);
    crate::support::work(&world.bucket(), &opened.plan[0], |_| ()).await;
    let job_state = JobState::read(&world.bucket()).await.unwrap();
    let sealed = manifest::seal(&world.bucket(), &opened.record, &opened.plan, &job_state).await.unwrap();
    assert_eq!(sealed.manifest.refused[0].path, "bad.parquet");
    assert_eq!(status(&world.bucket()).await.unwrap().refused[0].path, "bad.parquet");
}

#[tokio::test]
async fn a_plan_that_was_changed_is_not_worked_on() {
    let (world, opened) = started().await;
    world.bucket().write(&opened.record.plan.path, "other bytes".into()).await.unwrap();
    let error = world.open().await.unwrap_err();
    assert!(matches!(error, JobError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn two_runs_that_start_one_job_at_once_work_on_the_same_one() {
    let world = World::new();
    world.write_input("a.parquet", 30, 10);
    let mut other = World::new();
    other.settings = world.settings.clone();
    other.settings.filter.web_threshold = 0.25;
    // Both runs have planned when the first creates the job.
    let plan = world.plan().await;
    let first = job::create(&world.bucket(), &world.input(), plan.clone(), world.asked()).await.unwrap();
    let same = job::create(&world.bucket(), &world.input(), plan.clone(), world.asked()).await.unwrap();
    assert_eq!(same.record, first.record);
    let error = job::create(&world.bucket(), &world.input(), plan, other.asked()).await.unwrap_err();
    assert_eq!(names_of(error), ["filter.web_threshold: 0.5 → 0.25"]);
}

#[tokio::test]
async fn a_manifest_is_written_when_all_is_decided_and_once_for_the_same_data() {
    let (world, opened) = started().await;
    let bucket = world.bucket();
    for shard in &opened.plan[..3] {
        crate::support::work(&bucket, shard, |_| ()).await;
    }
    let seal = || async {
        let job_state = JobState::read(&bucket).await.unwrap();
        manifest::seal(&bucket, &opened.record, &opened.plan, &job_state).await
    };
    assert!(matches!(seal().await.unwrap_err(), manifest::ManifestError::Open { open: 1 }));
    assert!(!status(&bucket).await.unwrap().done);
    crate::support::fail(&bucket, &opened.plan[3], FailureClass::InputChanged).await;
    let sealed = seal().await.unwrap();
    assert_eq!((sealed.name.as_str(), sealed.is_new, sealed.manifest.rows), ("manifests/0.json", true, 30));
    assert_eq!(sealed.manifest.quarantined[0].rows, 10);
    assert!(!seal().await.unwrap().is_new);
    crate::support::work(&bucket, &opened.plan[3], |_| ()).await;
    let repaired = seal().await.unwrap();
    assert_eq!((repaired.name.as_str(), repaired.manifest.quarantined.len()), ("manifests/1.json", 0));
    assert_ne!(repaired.manifest.digest, sealed.manifest.digest);
}

#[tokio::test]
async fn status_tells_shards_and_rows_by_state_from_the_bucket_alone() {
    let (world, opened) = started().await;
    let bucket = world.bucket();
    let commit = crate::support::work(&bucket, &opened.plan[0], |_| ()).await;
    crate::support::fail(&bucket, &opened.plan[1], FailureClass::InputChanged).await;
    crate::support::fail(&bucket, &opened.plan[2], FailureClass::WorkerKilled).await;
    let status = status(&bucket).await.unwrap();
    assert_eq!(
        (status.shards.planned, status.shards.committed, status.shards.quarantined, status.shards.open),
        (4, 1, 1, 2)
    );
    assert_eq!((status.rows.planned, status.rows.committed), (40, 10));
    assert_eq!((status.kept.pairs, &status.rows_by_status), (commit.tally.pairs, &commit.tally.rows));
    assert_eq!(status.failures[&FailureClass::WorkerKilled], 1);
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(
        (&json["shards"]["open"], &json["rows_by_status"]["judged"], &json["done"]),
        (&2.into(), &8.into(), &false.into())
    );
}

#[tokio::test]
async fn a_sound_bucket_passes_its_check_and_nothing_is_left_behind() {
    let world = World::new();
    let steps = preflight::check(&world.bucket()).await;
    assert_eq!(steps.len(), 7);
    assert!(steps.iter().all(|step| step.problem.is_none()), "{steps:?}");
    let left = std::fs::read_dir(world.folder.path().join("job").join(object_keys::PROBES))
        .map_or(0, |entries| entries.count());
    assert_eq!(left, 0);
}
