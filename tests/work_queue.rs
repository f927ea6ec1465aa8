//! The cluster's queue alone, in a real nats-server.

use crate::support::nats::Nats;
use capfilt_coordinator::dispatch::cluster::{Connection, Delivery, JobQueue};
use capfilt_schemas::{
    plan::{InputFile, Part, Shard, ShardId},
    queue_protocol::{QueueNames, ShardMessage},
};
use std::{collections::HashSet, time::Duration};

fn shard(i: u32) -> Shard {
    let file = InputFile { path: "a.parquet".to_owned(), etag: "1".to_owned(), bytes: 1 };
    let id = ShardId::of(&file.path, &file.etag, i..i + 1);
    let part = Part::RowGroups(i..i + 1);
    Shard { id, file: file.into(), part, first_row: 0, rows: 1, rows_exact: true, bytes: 1 }
}

fn messages(shards: std::ops::Range<u32>) -> impl Iterator<Item = ShardMessage> {
    shards.map(|i| ShardMessage::new(shard(i), true))
}

async fn queue(nats: &Nats) -> JobQueue {
    let link = Connection { url: nats.url(), ..Connection::default() };
    JobQueue::new(link.connect(|_| {}).await.unwrap(), QueueNames::of(b"a job"), link.shown())
}

#[tokio::test]
async fn a_place_takes_one_message_and_the_queue_tells_which_are_taken() {
    let Some(nats) = Nats::start() else { return };
    let queue = queue(&nats).await;
    assert!(queue.shards().await.unwrap().is_empty(), "there is no queue yet");
    queue.ensure(Duration::from_secs(30)).await.unwrap();
    // More than are published at a time, so that confirmations are waited for in between.
    assert_eq!(queue.fill(messages(0..700), Delivery::First).await.unwrap(), 700);
    assert_eq!(queue.fill(messages(300..1000), Delivery::First).await.unwrap(), 300);
    assert_eq!(queue.fill(messages(0..5), Delivery::Speculative).await.unwrap(), 5);
    let all: HashSet<ShardId> = (0..1000).map(|i| shard(i).id).collect();
    assert_eq!(queue.shards().await.unwrap(), all, "copies have separate places");
}

#[tokio::test]
async fn what_is_acknowledged_is_not_in_the_queue_any_more() {
    use futures::StreamExt as _;
    let Some(nats) = Nats::start() else { return };
    let queue = queue(&nats).await;
    queue.ensure(Duration::from_secs(30)).await.unwrap();
    queue.fill(messages(0..3), Delivery::First).await.unwrap();
    let consumer = queue.consumer().await.unwrap().unwrap();
    let mut taken = consumer.fetch().max_messages(2).messages().await.unwrap();
    let (done, held) = (taken.next().await.unwrap().unwrap(), taken.next().await.unwrap().unwrap());
    done.double_ack().await.unwrap();
    let id = |payload: &[u8]| ShardMessage::parse(payload).unwrap().shard.id;
    let found = queue.shards().await.unwrap();
    assert_eq!(found.len(), 2);
    assert!(!found.contains(&id(&done.payload)) && found.contains(&id(&held.payload)));
}
