//! The promise that the numbers of both scores of a job with CLIP are those of the ledgers, recounted by the
//! rule of verdicts.

use crate::support::{Row, World, judged};
use capfilt_report::{
    Options, Page, Statistics, gallery,
    statistics::{self, BARS, Scale, SourceStatistics},
};
use capfilt_schemas::{
    ledger::LedgerRow,
    settings::Settings,
    texts::{LedgerText, Scored},
    verdict::{admitted, verdicts},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

fn row(number: u64) -> Row {
    let mut dice = StdRng::seed_from_u64(number);
    let mut text = |source: &str, n: usize| {
        let itm = (source == "caption" || dice.random_bool(0.9)).then(|| dice.random::<f32>());
        (source.to_owned(), format!("{source} {n} of {}", number % 90), itm)
    };
    let texts = [text("caption", 0), text("alt", 0), text("synthetic", 0), text("synthetic", 1)];
    let mut made = judged(number, &[]);
    made.texts = texts.to_vec();
    made.texts.push(text("synthetic", 2));
    made.control = dice.random_bool(0.9).then(|| dice.random::<f32>().powi(2));
    made
}

async fn job(more: &[&str]) -> (World, Statistics, Vec<LedgerRow>) {
    let settings = [
        "shards.rows=100",
        "input.text=[\"caption\", \"alt\"]",
        "captioner.captions=3",
        "models.clip=/clip",
        "filter.clip_web_threshold=12.3",
    ];
    let world = World::new(&[&settings, more].concat());
    let blank: Vec<Row> = (0..300).map(|number| judged(number, &[])).collect();
    world.write_input("a.parquet", &blank, 100);
    world.finish(|_, number| row(number), |_| ()).await;
    let bucket = world.bucket();
    let statistics = statistics::read(&bucket, &Options::default()).await.unwrap();
    let rows = world.ledger().await;
    (world, statistics, rows)
}

/// Scores of the judged texts of a source, row by row.
fn scores(rows: &[LedgerRow], source: &str) -> Vec<Vec<Scored>> {
    let of = |row: &LedgerRow| -> Vec<Scored> {
        let texts = row.texts.iter().filter(|text| &*text.source == source);
        texts.filter_map(|text: &LedgerText| text.scored).collect()
    };
    rows.iter().map(of).collect()
}

/// Texts and negative controls that a rule keeps.
fn kept(rows: &[LedgerRow], source: &str, itm: f64, clip: Option<f64>, settings: &Settings) -> (u64, u64) {
    let keep = settings.captioner.keep.filter(|_| source == "synthetic");
    let of_row = |texts: &Vec<Scored>| {
        let scores: Vec<_> = texts.iter().map(|text| admitted(Some(text.itm), text.clip, clip)).collect();
        verdicts(&scores, itm, keep).into_iter().filter(|kept| *kept).count() as u64
    };
    let passes = |row: &&LedgerRow| {
        admitted(row.control_itm, row.control_clip, clip).is_some_and(|found| f64::from(found) >= itm)
    };
    (scores(rows, source).iter().map(of_row).sum(), rows.iter().filter(passes).count() as u64)
}

fn assert_counts(rows: &[LedgerRow], found: &SourceStatistics, statistics: &Statistics, settings: &Settings) {
    let source = found.source.as_str();
    let (threshold, least) = (settings.filter.threshold(source), settings.filter.clip_threshold(source));
    let clip = found.clip.as_ref().unwrap();
    assert_eq!((clip.threshold, found.threshold), (least, threshold));
    for (at, position) in statistics.positions.positions().iter().enumerate() {
        let expected = kept(rows, source, *position, least, settings);
        assert_eq!((found.kept_at[at], found.control_at[at]), expected, "{source}, P(match) {position}");
    }
    for (at, position) in statistics.clip_positions.as_ref().unwrap().positions().iter().enumerate() {
        let expected = kept(rows, source, threshold, Some(*position), settings);
        assert_eq!((clip.kept_at[at], clip.control_at[at]), expected, "{source}, CLIP score {position}");
    }
    assert_eq!(found.kept, found.kept_at[found.position], "the slider begins at the job's threshold");
    assert_eq!(found.kept, clip.kept_at[clip.position], "and so does that of CLIP scores");
    let all: Vec<f64> =
        scores(rows, source).iter().flatten().map(|text| f64::from(text.clip.unwrap())).collect();
    assert_eq!(clip.scored, all.len() as u64);
    for bar in 0..BARS {
        let is_in = |score: &&f64| {
            (bar == 0 || **score >= Scale::Clip.edge(bar))
                && (bar + 1 == BARS || **score < Scale::Clip.edge(bar + 1))
        };
        assert_eq!(clip.bars[bar], all.iter().filter(is_in).count() as u64, "{source}, bar {bar}");
    }
}

#[tokio::test]
async fn the_counts_of_both_scores_are_those_of_the_rule_at_every_position() {
    for more in [&[][..], &["captioner.keep=1"], &["captioner.keep=2", "filter.clip_synthetic_threshold=20"]]
    {
        let (world, statistics, rows) = job(more).await;
        for found in &statistics.sources {
            assert_counts(&rows, found, &statistics, &world.settings);
        }
    }
}

#[tokio::test]
async fn the_page_has_a_panel_for_the_clip_scores_of_each_source() {
    let (world, statistics, _) = job(&[]).await;
    let gallery = gallery::read(&world.bucket(), &statistics).await.unwrap();
    let page = Page { statistics: &statistics, gallery: &gallery }.render();
    assert_eq!(page.matches("<div class=\"source\">").count(), 6, "two scores of three sources");
    for part in [
        "Histogram of the CLIP score of alt",
        "--clip-threshold caption=12.3",
        "--clip-threshold synthetic=-100",
        "source = &apos;alt&apos; and clip &gt;= 2800e-2 and clip &lt; 2900e-2",
    ] {
        let unescaped = part.replace("&apos;", "'");
        assert!(page.contains(part) || page.contains(&unescaped), "{part}");
    }
    let without = World::new(&[]);
    without.write_input("a.parquet", &[judged(0, &[])], 1);
    without.finish(|_, number| judged(number, &[("caption", "a dog", 0.7)]), |_| ()).await;
    let statistics = statistics::read(&without.bucket(), &Options::default()).await.unwrap();
    assert!(statistics.clip_positions.is_none() && statistics.sources.iter().all(|one| one.clip.is_none()));
}
