//! Messages of the queue and of worker processes.

use super::{attempt, failure, repair, shard, tally};
use capfilt_schemas::{
    commit::Cost,
    failure::FailureClass,
    queue_protocol::{CoordinatorReport, InHand, News, WorkerReport},
    worker_protocol,
};

pub fn report() -> WorkerReport {
    WorkerReport {
        worker: "w".into(),
        devices: vec!["cpu".into()],
        devices_ready: 1,
        shards_held: 2,
        in_hand: vec![InHand { shard: shard().id, device: "cpu".into(), rows: 1 }],
        rows: 3,
        tally: tally(),
        wasted_rows: 2,
        seconds_up: 1.5,
        is_last: false,
    }
}

pub fn news() -> [News; 5] {
    [
        News::Alive(report()),
        News::Committed {
            shard: shard().id,
            rows: 3,
            tally: tally(),
            superseded: true,
            cost: Cost::default(),
        },
        News::Failed { failure: failure() },
        News::Left { worker: "w".into(), why: "y".into() },
        News::Coordinating(CoordinatorReport { coordinator: "c".into(), seconds_up: 1.5 }),
    ]
}

pub fn assignment() -> worker_protocol::Assignment {
    worker_protocol::Assignment {
        shard: shard(),
        attempt: attempt(),
        commit_n: 0,
        set_aside: vec![5],
        set_aside_for: vec![FailureClass::WorkerMemory],
        try_alone: vec![4..8, 9..10],
        repair: Some(repair()),
    }
}

pub fn handling() -> worker_protocol::Event {
    worker_protocol::Event::Handling { shard: shard().id, stage: worker_protocol::Stage::Alone, rows: 4..5 }
}

pub fn committed() -> worker_protocol::Event {
    worker_protocol::Event::Committed {
        shard: shard().id,
        attempt: attempt(),
        rows: 3,
        tally: tally(),
        superseded: false,
        cost: Cost::default(),
    }
}
