//! Tests of the faults that `verify` finds: each test damages one object of a finished job.

use crate::support::World;
use capfilt_coordinator::{JobState, Verification, job, manifest, verify};
use capfilt_schemas::{
    commit::Commit,
    object_keys::{self, Table},
    plan::Shard,
};
use capfilt_store::Location;

struct Finished {
    world: World,
    bucket: Location,
    plan: Vec<Shard>,
    commits: Vec<Commit>,
}

/// A finished job of three shards; the ledger of the first shard is changed after its tally was computed.
async fn finished(spoil: impl Fn(&mut Vec<capfilt_schemas::ledger::LedgerRow>)) -> Finished {
    let world = World::new();
    world.write_input("a.parquet", 30, 10);
    let job::Opened { record, plan, .. } = world.open().await.unwrap();
    let bucket = world.bucket();
    let mut commits = vec![crate::support::work(&bucket, &plan[0], spoil).await];
    for shard in &plan[1..] {
        commits.push(crate::support::work(&bucket, shard, |_| ()).await);
    }
    let job_state = JobState::read(&bucket).await.unwrap();
    manifest::seal(&bucket, &record, &plan, &job_state).await.unwrap();
    Finished { world, bucket, plan, commits }
}

impl Finished {
    async fn verify(&self) -> Verification {
        verify(&self.bucket, Some(&self.world.input()), |_, _| ()).await.unwrap()
    }

    /// The only problem.
    async fn problem(&self) -> (String, String) {
        let found = self.verify().await;
        assert!(!found.ok);
        assert_eq!(found.problems.len(), 1, "{:#?}", found.problems);
        assert!(!found.problems[0].next.is_empty());
        (found.problems[0].object.clone(), found.problems[0].what.clone())
    }

    fn path(&self, shard: usize, table: Table) -> String {
        object_keys::output(&self.plan[shard].id, &self.commits[shard].attempt, table)
    }
}

#[tokio::test]
async fn a_sound_job_has_no_problem() {
    let job = finished(|_| ()).await;
    let found = job.verify().await;
    assert_eq!((found.ok, found.rows), (true, 30), "{:#?}", found.problems);
}

#[tokio::test]
async fn a_deleted_object_is_found() {
    let job = finished(|_| ()).await;
    for table in Table::ALL {
        let path = job.path(1, table);
        let bytes = job.bucket.read(&path).await.unwrap();
        job.bucket.delete(&path).await.unwrap();
        assert_eq!(job.problem().await, (path.clone(), "the object is gone".to_owned()));
        job.bucket.write(&path, bytes).await.unwrap();
    }
    assert!(job.verify().await.ok);
}

#[tokio::test]
async fn a_flipped_byte_is_found_wherever_it_is() {
    let job = finished(|_| ()).await;
    let path = job.path(2, Table::Pairs);
    let sound = job.bucket.read(&path).await.unwrap();
    for at in [0, sound.len() / 3, sound.len() / 2, sound.len() - 1] {
        let mut bytes = sound.to_vec();
        bytes[at] ^= 1;
        job.bucket.write(&path, bytes.into()).await.unwrap();
        let (object, what) = job.problem().await;
        assert!(object == path && what.contains("bytes changed"), "{object}: {what}");
    }
}

#[tokio::test]
async fn a_doubled_commit_is_found() {
    let job = finished(|_| ()).await;
    let first = object_keys::commit(&job.plan[0].id, 0);
    let bytes = job.bucket.read(&first).await.unwrap();
    // Copied as the shard's next commit, unchanged and with a corrected number.
    let second = object_keys::commit(&job.plan[0].id, 1);
    let renumbered = serde_json::to_vec(&Commit { n: 1, ..job.commits[0].clone() }).unwrap();
    for copy in [bytes.clone(), renumbered.into()] {
        job.bucket.write(&second, copy).await.unwrap();
        let found = job.verify().await;
        assert!(
            found.problems.iter().any(|p| p.object == second && p.what.contains("doubled commit")),
            "{:#?}",
            found.problems
        );
        job.bucket.delete(&second).await.unwrap();
    }
    // Copied as another shard's commit.
    let other = object_keys::commit(&job.plan[1].id, 0);
    job.bucket.write(&other, bytes.clone()).await.unwrap();
    let found = job.verify().await;
    assert!(
        found.problems.iter().any(|p| p.object == other && p.what.contains("copied commit")),
        "{:#?}",
        found.problems
    );
    // Copied beside the original, under another spelling of the name.
    let job = finished(|_| ()).await;
    let spelt = object_keys::commit(&job.plan[0].id, 0).replace("/0.json", "/00.json");
    job.bucket.write(&spelt, bytes).await.unwrap();
    assert_eq!(job.problem().await.0, spelt);
}

#[tokio::test]
async fn a_missing_a_doubled_and_a_swapped_ledger_row_are_found() {
    let missing = finished(|rows| drop(rows.remove(3))).await;
    let doubled = finished(|rows| rows.insert(3, rows[3].clone())).await;
    let swapped = finished(|rows| rows.swap(2, 3)).await;
    for job in [missing, doubled, swapped] {
        let found = job.verify().await;
        assert!(!found.ok);
        let ledger = found
            .problems
            .iter()
            .find(|p| p.object == job.path(0, Table::Ledger))
            .expect("a problem of the ledger");
        assert!(ledger.what.contains("a row is missing or doubled"), "{}", ledger.what);
    }
}

#[tokio::test]
async fn a_verdict_that_does_not_follow_from_its_score_is_found() {
    let job = finished(|rows| {
        let score = rows[0].texts[0].scored.as_mut().unwrap();
        score.itm = 0.9;
    })
    .await;
    let (object, what) = job.problem().await;
    assert!(
        object == job.path(0, Table::Ledger)
            && what.contains("row 0: the caption text is dropped with P(match)"),
        "{what}"
    );
}

#[tokio::test]
async fn pairs_that_contradict_the_ledger_are_found() {
    let text = finished(|rows| rows[1].texts[1].text.as_mut().unwrap().push('!')).await;
    let (object, what) = text.problem().await;
    assert!(object == text.path(0, Table::Pairs) && what.contains("row 1 has other texts"), "{what}");
    let image = finished(|rows| rows[1].image_sha256 = Some([7; 32])).await;
    let (object, what) = image.problem().await;
    assert!(object == image.path(0, Table::Pairs) && what.contains("row 1 has another image"), "{what}");
}

#[tokio::test]
async fn a_tally_that_does_not_match_the_rows_is_found() {
    let job = finished(|_| ()).await;
    let name = object_keys::commit(&job.plan[0].id, 0);
    let mut commit = job.commits[0].clone();
    commit.tally.texts.get_mut("caption").unwrap().kept += 1;
    job.bucket.write(&name, serde_json::to_vec_pretty(&commit).unwrap().into()).await.unwrap();
    let found = job.verify().await;
    assert!(found.problems.iter().any(|p| p.what.contains("do not give the tally")), "{:#?}", found.problems);
    commit.rows += 1;
    job.bucket.write(&name, serde_json::to_vec_pretty(&commit).unwrap().into()).await.unwrap();
    let found = job.verify().await;
    assert!(
        found.problems.iter().any(|p| p.object == name && p.what.contains("tally accounts for")),
        "{:#?}",
        found.problems
    );
}

#[tokio::test]
async fn an_open_shard_and_a_manifest_that_is_missing_or_stale_are_found() {
    let job = finished(|_| ()).await;
    let manifest = object_keys::manifest(0);
    let bytes = job.bucket.read(&manifest).await.unwrap();
    job.bucket.delete(&manifest).await.unwrap();
    assert!(job.problem().await.1.contains("there is no manifest"));
    job.bucket.write(&manifest, bytes).await.unwrap();
    job.bucket.delete(&object_keys::commit(&job.plan[1].id, 0)).await.unwrap();
    let found = job.verify().await;
    let whats: Vec<_> = found.problems.iter().map(|p| p.what.as_str()).collect();
    assert!(
        whats[0].contains("1 of 3 planned shards are open") && whats[0].contains(job.plan[1].id.as_str()),
        "{whats:?}"
    );
    assert!(
        whats[1].contains("the newest manifest does not describe") && whats[1].contains("digest"),
        "{whats:?}"
    );
}

#[tokio::test]
async fn a_changed_plan_and_a_changed_input_are_found() {
    let job = finished(|_| ()).await;
    job.world.write_input("b.parquet", 1, 1);
    assert_eq!(job.problem().await.1, "input file b.parquet was added");
    let (record, _) = job::load(&job.bucket).await.unwrap();
    let mut bytes = job.bucket.read(&record.plan.path).await.unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    job.bucket.write(&record.plan.path, bytes.into()).await.unwrap();
    assert!(job.problem().await.1.contains("the plan is not the one"));
}
