//! Control records: the highest number counts, and damage does not.

use crate::support::World;
use capfilt_coordinator::{
    control::{ControlReader, end_drain, write},
    job,
};
use capfilt_schemas::{
    control::{Action, Control},
    object_keys,
};

async fn in_force(world: &World) -> Option<(u32, Action)> {
    let bucket = world.bucket();
    let mut reader = ControlReader::new(&bucket, job::digest(&bucket).await.unwrap());
    reader.read().await.unwrap().map(|control| (control.n, control.action))
}

#[tokio::test]
async fn the_control_with_the_highest_number_is_in_force_and_none_is_lost() {
    let world = World::new();
    let bucket = world.bucket();
    let refused = write(&bucket, Action::Pause, "test").await.unwrap_err();
    assert!(refused.to_string().contains("there is no job"), "{refused}");
    world.write_input("a.parquet", 10, 10);
    world.open().await.unwrap();
    assert_eq!(in_force(&world).await, None);
    // Two senders at the same time: both records exist.
    let (a, b) = tokio::join!(write(&bucket, Action::Pause, "a"), write(&bucket, Action::Pause, "b"));
    let mut numbers = [a.unwrap().n, b.unwrap().n];
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1]);
    write(&bucket, Action::Resume, "c").await.unwrap();
    assert_eq!(in_force(&world).await, Some((2, Action::Resume)));
}

#[tokio::test]
async fn a_damaged_copied_or_foreign_control_is_not_obeyed() {
    let world = World::new();
    let bucket = world.bucket();
    world.write_input("a.parquet", 10, 10);
    world.open().await.unwrap();
    let control = write(&bucket, Action::Pause, "test").await.unwrap();
    let put =
        async |n: u32, bytes: Vec<u8>| bucket.write(&object_keys::control(n), bytes.into()).await.unwrap();
    let json = |control: &Control| serde_json::to_vec(control).unwrap();
    put(1, b"{".to_vec()).await;
    put(2, json(&Control { action: Action::Drain, ..control.clone() })).await;
    let job = Some(capfilt_schemas::job::JobDigest::of(b"another"));
    put(3, json(&Control { n: 3, action: Action::Drain, job, ..control })).await;
    assert_eq!(in_force(&world).await, Some((0, Action::Pause)));
    let next = write(&bucket, Action::Resume, "test").await.unwrap();
    assert_eq!(next.n, 4, "a number is used once");
}

#[tokio::test]
async fn a_run_ends_a_drain_and_leaves_a_pause() {
    let world = World::new();
    let bucket = world.bucket();
    world.write_input("a.parquet", 10, 10);
    world.open().await.unwrap();
    for (action, expected) in [
        (Action::Pause, (0, Action::Pause)),
        (Action::Drain, (2, Action::Resume)),
        (Action::Pause, (3, Action::Pause)),
    ] {
        write(&bucket, action, "test").await.unwrap();
        end_drain(&bucket, "run").await.unwrap();
        assert_eq!(in_force(&world).await, Some(expected));
    }
}
