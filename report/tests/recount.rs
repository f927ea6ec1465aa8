//! The promise that the page's numbers are those of the ledgers, recounted here row by row.

use crate::support::{Row, World, judged, picture};
use capfilt_report::{
    Options, Statistics,
    statistics::{self, BARS, Scale},
};
use capfilt_schemas::{
    ledger::LedgerRow,
    plan::Shard,
    status::{RowStatus, TextStatus},
    tally::Tally,
    texts::LedgerText,
    verdict::verdicts,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use std::collections::{BTreeMap, BTreeSet};

const TEN: [f64; 10] = [0.0, 0.01, 0.1, 0.29, 0.5, 0.57, 0.7, 0.83, 0.99, 1.0];

/// A random row: several sources, ties, scores on the edges of bars, rows of every status.
fn row(shard: &Shard, number: u64) -> Row {
    let mut dice = StdRng::seed_from_u64(number ^ shard.first_row << 32);
    let score = |dice: &mut StdRng| match dice.random_range(0..3) {
        0 => f32::from(dice.random_range(0..=100u8)) / 100.0,
        1 => dice.random_range(0.0..1.0f32).powi(4),
        _ => 1.0 - dice.random_range(0.0..1.0f32).powi(4),
    };
    let words = ["dog", "cat", "a", "雪", "<b>"];
    let text = |dice: &mut StdRng| {
        let words = (0..dice.random_range(1..40)).map(|_| *words.choose(dice).unwrap());
        words.collect::<Vec<_>>().join(" ")
    };
    let mut made = judged(number, &[]);
    let sources = ["caption", "caption", "alt", "synthetic", "synthetic", "synthetic"];
    for source in sources {
        let itm = (source == "caption" || dice.random_bool(0.9)).then(|| score(&mut dice));
        made.texts.push((source.to_owned(), text(&mut dice), itm));
    }
    made.control = dice.random_bool(0.95).then(|| score(&mut dice).powi(2));
    made.image = picture(dice.random_range(0..40));
    if dice.random_bool(0.1) {
        made.status = *RowStatus::ALL.choose(&mut dice).unwrap();
    }
    made
}

async fn job() -> (World, Statistics, Vec<LedgerRow>) {
    let settings = [
        "shards.rows=100",
        "input.text=[\"caption\", \"alt\"]",
        "captioner.keep=1",
        "captioner.captions=3",
        "filter.web_threshold=0.57",
        "filter.synthetic_threshold=0.3333",
    ];
    let world = World::new(&settings);
    let blank: Vec<Row> = (0..400).map(|number| judged(number, &[])).collect();
    ["a.parquet", "b.parquet"].iter().for_each(|name| world.write_input(name, &blank, 100));
    world.finish(row, |_| ()).await;
    let bucket = world.bucket();
    let statistics = statistics::read(&bucket, &Options { seed: 7, truth: None }).await.unwrap();
    let rows = world.ledger().await;
    (world, statistics, rows)
}

/// Judged texts of a source, row by row.
fn texts<'a>(rows: &'a [LedgerRow], source: &str) -> Vec<Vec<&'a LedgerText>> {
    let of = |row: &'a LedgerRow| {
        row.texts.iter().filter(|text| &*text.source == source && text.scored.is_some()).collect()
    };
    rows.iter().map(of).collect()
}

fn itm(text: &LedgerText) -> f32 {
    text.scored.unwrap().itm
}

#[tokio::test]
async fn every_number_of_a_source_equals_a_recount() {
    let (world, statistics, rows) = job().await;
    assert_eq!(
        statistics.sources.iter().map(|one| one.source.as_str()).collect::<Vec<_>>(),
        ["caption", "alt", "synthetic"]
    );
    for found in &statistics.sources {
        let of_rows = texts(&rows, &found.source);
        let all: Vec<&LedgerText> = of_rows.iter().flatten().copied().collect();
        assert_eq!(found.judged, all.len() as u64, "{}", found.source);
        assert_eq!(found.kept, all.iter().filter(|text| text.is_kept()).count() as u64);
        assert_eq!(found.kept, found.kept_at[found.position], "the job's threshold is a position");
        let keep = world.settings.captioner.keep.filter(|_| found.source == "synthetic");
        for (position, kept_at) in statistics.positions.positions().iter().zip(&found.kept_at) {
            let kept = |texts: &Vec<&LedgerText>| {
                let scores: Vec<Option<f32>> = texts.iter().map(|text| Some(itm(text))).collect();
                verdicts(&scores, *position, keep).into_iter().filter(|kept| *kept).count() as u64
            };
            assert_eq!(*kept_at, of_rows.iter().map(kept).sum::<u64>(), "{} at {position}", found.source);
        }
        for bar in 0..BARS {
            let is_in = |text: &&&LedgerText| {
                let itm = f64::from(itm(text));
                itm >= Scale::Match.edge(bar) && (itm < Scale::Match.edge(bar + 1) || bar + 1 == BARS)
            };
            assert_eq!(found.bars[bar], all.iter().filter(is_in).count() as u64, "bar {bar}");
        }
        let mut languages = BTreeMap::<&str, u64>::new();
        all.iter().for_each(|text| *languages.entry(text.language.as_deref().unwrap()).or_default() += 1);
        assert!(found.languages.iter().map(|(name, group)| (name.as_str(), group.judged)).eq(languages));
        assert_eq!(found.lengths.iter().map(|group| group.judged).sum::<u64>(), found.judged);
    }
}

/// A removed or renamed field raises [`statistics::VERSION`]; a new field is added here.
#[tokio::test]
async fn the_numbers_of_version_1_have_these_fields() {
    let (_world, statistics, _) = job().await;
    let json = serde_json::to_value(&statistics).unwrap();
    let fields = |value: &serde_json::Value| {
        let names: BTreeSet<&String> = value.as_object().unwrap().keys().collect();
        names.into_iter().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(json["version"], 1);
    assert_eq!(
        fields(&json),
        "control drift equal_hashes equal_images manifest manifest_digest planned_shards positions \
         quarantined_rows refused_files repeated_texts repeated_texts_missed rows seed shards sources tally \
         url version work"
    );
    assert_eq!(
        fields(&json["sources"][0]),
        "at_least bars control_at judged kept kept_at languages lengths position source statuses threshold"
    );
    assert_eq!(fields(&json["drift"]["files"][0]), "file images kept_share median_itm rows shard");
    assert_eq!(
        fields(&json["work"]),
        "attempts failures images pace repaired timings unused workers workers_total"
    );
}

#[tokio::test]
async fn a_position_counts_the_negative_controls_that_reach_it() {
    let (_world, statistics, rows) = job().await;
    let control: Vec<f32> = rows.iter().filter_map(|row| row.control_itm).collect();
    assert_eq!(statistics.control.judged, control.len() as u64);
    for position in TEN {
        let at = statistics.positions.index_of(position);
        assert_eq!(statistics.positions.positions()[at], position, "every step is a position");
        let passes = control.iter().filter(|itm| f64::from(**itm) >= position).count() as u64;
        assert_eq!(statistics.control.at_least[at], passes, "{position}");
        assert!(statistics.sources.iter().all(|source| source.control_at[at] == passes), "{position}");
    }
}

#[tokio::test]
async fn rows_duplicates_and_files_equal_a_recount() {
    let (_world, statistics, rows) = job().await;
    let mut tally = Tally::default();
    rows.iter().for_each(|row| tally.add(row));
    assert_eq!((&statistics.tally, statistics.rows), (&tally, 800));
    let digests: Vec<[u8; 32]> = rows.iter().filter_map(|row| row.image_sha256).collect();
    let distinct = digests.iter().collect::<BTreeSet<_>>().len() as u64;
    assert_eq!((statistics.equal_images.rows, statistics.equal_images.distinct), (800, distinct));
    assert!(!statistics.equal_images.is_estimate && statistics.equal_hashes.distinct == 17);
    for file in &statistics.drift.files {
        let of: Vec<&LedgerRow> = rows.iter().filter(|row| row.file == file.file).collect();
        let judged: Vec<_> = of.iter().filter(|row| row.status == RowStatus::Judged).collect();
        assert_eq!((file.rows, file.images.judged), (of.len() as u64, judged.len() as u64));
        assert_eq!(file.images.kept, judged.iter().filter(|row| row.keeps_a_text()).count() as u64);
        let web = judged.iter().flat_map(|row| row.inputs()).filter(|text| text.status == TextStatus::Judged);
        let mut scores: Vec<f64> = web.map(|text| f64::from(itm(text))).collect();
        scores.sort_by(f64::total_cmp);
        let middle = scores[(scores.len() - 1) / 2];
        let cut = statistics.positions.positions().iter().rfind(|position| **position <= middle);
        assert_eq!(file.median_itm, cut.copied());
    }
    assert_eq!((statistics.drift.files_total, statistics.drift.shards_total), (2, 8));
    let shares: Vec<f64> = statistics.drift.shards.iter().filter_map(|shard| shard.kept_share).collect();
    assert!(shares.is_sorted() && shares.len() == 8, "{shares:?}");
}

#[tokio::test]
async fn galleries_show_the_extremes_of_all_rows() {
    let (_world, statistics, rows) = job().await;
    let scored: Vec<&LedgerText> =
        rows.iter().flat_map(|row| &row.texts).filter(|text| text.scored.is_some()).collect();
    let mut dropped: Vec<f32> = scored.iter().filter(|text| !text.is_kept()).map(|text| itm(text)).collect();
    dropped.sort_by(|a, b| b.total_cmp(a));
    let list = |name: &str| {
        let list = statistics.galleries.iter().find(|list| list.kind.name() == name);
        list.unwrap_or_else(|| panic!("no gallery {name}")).rows.clone()
    };
    let found: Vec<f64> = list("best-dropped").iter().map(|row| row.score).collect();
    assert_eq!(found, dropped[..12].iter().map(|itm| f64::from(*itm)).collect::<Vec<_>>());
    let longest = scored.iter().map(|text| text.text.as_ref().unwrap().chars().count()).max().unwrap();
    assert_eq!(list("longest")[0].score, longest as f64);
    for name in ["worst-kept", "synthetic-beats-web", "web-beats-synthetic", "nothing-kept", "most-repeated"]
    {
        assert!(!list(name).is_empty(), "{name}");
    }
    for (list, status) in statistics.galleries.iter().filter_map(|list| {
        let status = RowStatus::parse(list.kind.name().strip_prefix("status-")?)?;
        Some((list, status))
    }) {
        assert!(list.rows.len() as u64 <= statistics.tally.count(status) && list.rows.len() <= 6);
    }
    for source in &statistics.sources {
        let distance = |itm: f64| (itm - source.threshold).abs();
        let mut all: Vec<f64> =
            texts(&rows, &source.source).iter().flatten().map(|text| distance(itm(text).into())).collect();
        all.sort_by(f64::total_cmp);
        let found: Vec<f64> = source.nearest.iter().map(|row| distance(row.score)).collect();
        assert_eq!(found, all[..12]);
        for (bar, samples) in source.samples.iter().enumerate() {
            assert_eq!(samples.len() as u64, source.bars[bar].min(4), "bar {bar}");
        }
    }
}
