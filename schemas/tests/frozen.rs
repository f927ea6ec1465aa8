//! Compares the formats with a committed file. A difference is a format change: decide on it, raise the
//! version of the changed format, and write the file again with `CAPFILT_FREEZE=1 cargo test -p
//! capfilt-schemas --test frozen`.

#![allow(clippy::unwrap_used)]

#[path = "frozen/messages.rs"]
mod messages;
#[path = "frozen/sets.rs"]
mod sets;
#[path = "frozen/tables.rs"]
mod tables;

use capfilt_schemas::{
    bootstrap::{self, Done, LoopState},
    commit::{Commit, Output, Timings},
    control::{Action, Control},
    cut::{CutName, CutRecord, CutShard, Rules},
    export::{self, Counts, ExportRecord, Format},
    failure::{Crash, Failure, FailureClass},
    job::{JobDigest, JobRecord, ModelFile, ModelRecord, PlanRecord},
    manifest::{Manifest, QuarantinedShard, Repaired},
    object_keys::{self, AttemptId, Table},
    pairs::{self, PairsRow, PairsText},
    plan::{InputFile, Part, RefusedFile, Shard, ShardId},
    queue_protocol::{End, QueueNames, ShardMessage},
    retry::{Repair, Retry, ShardRepair},
    self_test::{self, KnownAnswers, KnownCaption, KnownScore, Made, ModelPair},
    settings,
    status::{RowStatus, TextStatus},
    tally::Tally,
    texts::SYNTHETIC,
};
use messages::{assignment, committed, handling, news};
use std::{collections::BTreeMap, fmt::Write as _};

#[test]
fn formats_are_as_they_were_frozen() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frozen.txt");
    let now = everything();
    if std::env::var_os("CAPFILT_FREEZE").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let frozen = std::fs::read_to_string(path).unwrap();
    let first = frozen.lines().zip(now.lines()).find(|(then, now)| then != now);
    assert!(frozen == now, "a format changed; first difference: {first:?}");
}

fn everything() -> String {
    let mut out = String::new();
    tables::columns_of_tables(&mut out);
    sets::closed_sets(&mut out);
    records(&mut out);
    out
}

/// Names of objects, then every record as JSON.
fn records(out: &mut String) {
    names(out);
    let json = |value: serde_json::Value| serde_json::to_string_pretty(&value).unwrap();
    let values = [
        serde_json::to_value(commit()),
        serde_json::from_slice(&sample()),
        serde_json::to_value(failure()),
        serde_json::to_value(retry()),
        serde_json::to_value(Control::new(Action::Pause, 1, "w", Some(digest()))),
        serde_json::to_value(handling()),
        serde_json::to_value(manifest()),
        serde_json::to_value(cut()),
        serde_json::to_value(job()),
        serde_json::to_value(answers()),
        serde_json::to_value(assignment()),
        serde_json::to_value(committed()),
        serde_json::to_value(exported()),
        serde_json::to_value(exported_with_exclusions()),
        serde_json::to_value(state()),
        serde_json::to_value(ShardMessage::new(shard(), true)),
        serde_json::to_value(news()),
        serde_json::to_value([End::Done, End::Stopped { why: "w".into() }]),
    ];
    values.into_iter().for_each(|value| writeln!(out, "{}", json(value.unwrap())).unwrap());
}

/// Names of objects, and of the subjects of the queue.
fn names(out: &mut String) {
    let (id, queue) = (shard().id, QueueNames::of(b"job"));
    let names = [
        object_keys::commit(&id, 0),
        object_keys::pairs_tar(&id, &attempt()),
        pairs::sample_name("a.parquet", 4),
        object_keys::failure(&id, &attempt()),
        object_keys::retry(0),
        object_keys::control(0),
        object_keys::manifest(0),
        object_keys::cut(&cut_name()),
        object_keys::cut_pairs(&cut_name(), &attempt(), &id) + object_keys::PARQUET,
        object_keys::JOB.to_owned(),
        object_keys::KNOWN_ANSWERS.to_owned(),
        answers().models.file_name(),
        queue.stream(),
        queue.shard(&id),
        queue.again(&id),
        queue.news(),
        queue.coordinator(),
        queue.end(),
    ];
    names.iter().for_each(|name| writeln!(out, "{name}").unwrap());
}

fn attempt() -> AttemptId {
    AttemptId::from_random(1)
}

fn digest() -> JobDigest {
    JobDigest::of(b"job")
}

fn shard() -> Shard {
    let file = InputFile { path: "a.parquet".into(), etag: "e1".into(), bytes: 9 };
    let id = ShardId::of(&file.path, &file.etag, 0..2);
    let part = Part::RowGroups(0..2);
    Shard { id, file: file.into(), part, first_row: 0, rows: 3, rows_exact: true, bytes: 8 }
}

fn tally() -> Tally {
    let rows = [(RowStatus::Judged, 2), (RowStatus::ImageMissing, 1)].into();
    let texts =
        [("caption", TextStatus::Judged), ("caption", TextStatus::Empty), (SYNTHETIC, TextStatus::Judged)];
    let mut tally = Tally { rows, pairs: 2, ..Tally::default() };
    texts.iter().for_each(|(source, status)| tally.add_text(source, *status, *status == TextStatus::Judged));
    tally
}

fn commit() -> Commit {
    let output = Output {
        table: Table::Ledger,
        path: object_keys::output(&shard().id, &attempt(), Table::Ledger),
        bytes: 7,
        sha256: "00".into(),
        rows: 3,
    };
    Commit {
        version: capfilt_schemas::commit::VERSION,
        shard: shard().id,
        n: 0,
        attempt: attempt(),
        worker: "w".into(),
        rows: 3,
        tally: tally(),
        outputs: vec![output],
        batch: 8,
        timings: Timings::default(),
        job: Some(digest()),
    }
}

/// The record in the `.json` of a sample of `pairs.tar`.
fn sample() -> Vec<u8> {
    let texts = vec![PairsText { source: "caption", text: "t", itm: 0.5, itc: Some(0.25), clip: None }];
    let row = PairsRow { key: Some("k"), image: None, path: None, width: 4, height: 3, texts };
    pairs::encode_sample(&row, [("url".to_owned(), "u".into())].into_iter().collect())
}

fn failure() -> Failure {
    Failure {
        version: capfilt_schemas::failure::VERSION,
        shard: shard().id,
        attempt: attempt(),
        worker: "w".into(),
        class: FailureClass::Store,
        message: "m".into(),
        crash: Some(Crash { rows: vec![4..8, 6..12], alone: false }),
        job: Some(digest()),
    }
}

fn quarantined() -> QuarantinedShard {
    QuarantinedShard { shard: shard().id, rows: 3, reason: "r".into() }
}

fn manifest() -> Manifest {
    Manifest {
        version: capfilt_schemas::manifest::VERSION,
        n: 0,
        digest: "00".into(),
        shards: 1,
        rows: 3,
        tally: tally(),
        repaired: vec![Repaired { shard: shard().id, n: 1 }],
        quarantined: vec![quarantined()],
        refused: vec![],
        job: Some(digest()),
    }
}

fn cut_name() -> CutName {
    "n".parse().unwrap()
}

fn cut() -> CutRecord {
    let rules = Rules {
        thresholds: [("synthetic".to_owned(), 0.5)].into(),
        clip_thresholds: BTreeMap::new(),
        keep: [("synthetic".to_owned(), 1)].into(),
        condition: Some("words > 3".into()),
    };
    let path = object_keys::cut_pairs(&cut_name(), &attempt(), &shard().id) + object_keys::PARQUET;
    let pairs = Output { table: Table::Pairs, path, bytes: 1, sha256: "00".into(), rows: 1 };
    CutRecord {
        version: capfilt_schemas::cut::VERSION,
        name: cut_name(),
        program: "0".into(),
        job: digest(),
        manifest: 0,
        digest: "00".into(),
        rules,
        images: settings::Images::Reference,
        tally: tally(),
        images_lost: 1,
        shards: vec![CutShard { shard: shard().id, tally: tally(), pairs: Some(pairs) }],
    }
}

fn job() -> JobRecord {
    let urls = "[job]\nurl='j'\n[input]\nurl='i'\n[models]\ncaptioner='c'\nfilter='f'\n";
    let model =
        ModelRecord { files: vec![ModelFile { name: "config.json".into(), bytes: 2, sha256: "00".into() }] };
    let refused = RefusedFile { path: "b.parquet".into(), etag: "e2".into(), bytes: 0, reason: "r".into() };
    JobRecord {
        version: capfilt_schemas::job::VERSION,
        program: "0".into(),
        settings: settings::parse(urls, &[]).unwrap(),
        captioner: model.clone(),
        filter: model,
        clip: ModelRecord::none(),
        plan: PlanRecord {
            path: object_keys::plan(&"0".repeat(64)),
            sha256: "00".into(),
            shards: 1,
            rows: 3,
            refused: vec![refused],
            without_rows: vec![],
        },
    }
}

fn repair() -> Repair {
    Repair { statuses: vec![RowStatus::Crashed], limits: job().settings.limits }
}

fn retry() -> Retry {
    Retry {
        version: capfilt_schemas::retry::VERSION,
        n: 0,
        forgiven: vec![attempt()],
        repairs: vec![ShardRepair { shard: shard().id, commit_n: 1 }],
        repair: repair(),
        job: Some(digest()),
    }
}

fn answers() -> KnownAnswers {
    KnownAnswers {
        version: self_test::VERSION,
        models: ModelPair::of(&job()),
        made: Made { program: "0".into(), device: "cpu".into(), precision: settings::Precision::F32 },
        scores: vec![KnownScore { picture: "p".into(), text: "t".into(), itm: 0.5, itc: 0.25 }],
        captions: vec![KnownCaption { picture: "p".into(), ids: vec![1, 2], log_probabilities: vec![-0.5] }],
    }
}

fn request() -> export::Request {
    let human =
        export::Source::Human { url: "h".into(), version: "v".into(), columns: export::Columns::default() };
    let job = export::Source::Job {
        url: "j".into(),
        manifest: 1,
        digest: "d".into(),
        cut: None,
        texts: settings::training_data::Texts::Both,
        quarantined: vec![quarantined()],
    };
    export::Request {
        version: 2,
        format: Format::Webdataset,
        options: export::Options {
            shuffle: Some(7),
            file_mib: 256,
            min_itm: Some(0.5),
            ..Default::default()
        },
        sources: vec![human, job],
    }
}

fn exported_with_exclusions() -> ExportRecord {
    let mut record = exported();
    let options = &mut record.request.options;
    options.exclude = vec![export::ExclusionList { sha256: "s".into(), entries: 2 }];
    options.dedup_images = Some(4);
    options.licence_column = Some("licence".into());
    record.request.version = options.version(Format::Captions);
    record.request.format = Format::Captions;
    let licences = BTreeMap::from([(String::new(), 1), ("cc-by-4.0".to_owned(), 2)]);
    ExportRecord { unmatched_exclusions: Some(1), licences, ..record }
}

fn exported() -> ExportRecord {
    ExportRecord {
        request: request(),
        capfilt: "0".into(),
        counts: Counts {
            read: 6,
            human: 1,
            web: 1,
            synthetic: 1,
            duplicates: 2,
            unusable: 1,
            samples: 3,
            ..Default::default()
        },
        files: vec![export::File { path: "p".into(), pairs: 3, bytes: 4, sha256: "s".into() }],
        unmatched_exclusions: None,
        licences: BTreeMap::new(),
        left_out: vec![export::LeftOut { file: "f".into(), row: 1, why: "w".into() }],
    }
}

fn state() -> LoopState {
    let done =
        Done { step: "round-1/pretrain".into(), inputs: "i".into(), made: "m".into(), digest: "d".into() };
    LoopState { version: bootstrap::VERSION, steps: vec![done] }
}
