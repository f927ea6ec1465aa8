//! The galleries of the page: named lists of sampled rows.

use super::{
    frequent::Frequent,
    grid::{BARS, Scale},
    rule::{GALLERY_ROWS, Rule},
    sample::{Best, Sampled},
    samples::Samples,
};
use capfilt_schemas::status::RowStatus;
use serde::{Serialize, Serializer};

/// Kind of a gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Dropped texts with the highest P(match).
    BestDropped,
    /// Kept texts with the lowest P(match).
    WorstKept,
    /// Images whose best caption has a much higher P(match) than their best text of the input.
    SyntheticWins,
    /// The opposite.
    WebWins,
    /// Judged images without a kept text.
    NothingKept,
    /// Rows that were not judged, of one status.
    Status(RowStatus),
    /// Judged texts with the most characters.
    Longest,
    /// Judged texts with the fewest characters.
    Shortest,
    /// Judged texts with the largest share of repeated word pairs.
    Repetitive,
    /// Texts that most images have.
    Frequent,
}

/// Sampled rows under one name.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// Kind of the gallery.
    pub kind: Kind,
    /// The rows, in the order of the page.
    pub rows: Vec<Sampled>,
}

impl Kind {
    /// Name in JSON and in addresses of the page.
    pub fn name(self) -> String {
        match self {
            Self::BestDropped => "best-dropped".to_owned(),
            Self::WorstKept => "worst-kept".to_owned(),
            Self::SyntheticWins => "synthetic-beats-web".to_owned(),
            Self::WebWins => "web-beats-synthetic".to_owned(),
            Self::NothingKept => "nothing-kept".to_owned(),
            Self::Status(status) => format!("status-{status}"),
            Self::Longest => "longest".to_owned(),
            Self::Shortest => "shortest".to_owned(),
            Self::Repetitive => "repetitive".to_owned(),
            Self::Frequent => "most-repeated".to_owned(),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// All galleries; empty ones are left out.
pub(super) fn lists(samples: &Samples, frequent: &Frequent) -> Vec<List> {
    let list = |kind, best: &Best| List { kind, rows: best.entries().to_vec() };
    let mut lists = vec![
        list(Kind::BestDropped, &samples.best_dropped),
        list(Kind::WorstKept, &samples.worst_kept),
        list(Kind::SyntheticWins, &samples.synthetic_wins),
        list(Kind::WebWins, &samples.web_wins),
        list(Kind::NothingKept, &samples.nothing_kept),
    ];
    lists.extend(samples.statuses.iter().map(|(status, best)| list(Kind::Status(*status), best)));
    lists.extend([
        list(Kind::Longest, &samples.longest),
        list(Kind::Shortest, &samples.shortest),
        list(Kind::Repetitive, &samples.repetitive),
        List { kind: Kind::Frequent, rows: frequent.most(GALLERY_ROWS) },
    ]);
    lists.retain(|list| !list.rows.is_empty());
    lists
}

/// The condition over ledger columns that selects the texts of a bar. Numerals have an exponent: the columns
/// are then compared as doubles, as the thresholds are.
pub fn condition(scale: Scale, source: &str, bar: usize) -> String {
    let (column, has_lower) = match scale {
        Scale::Match => ("itm", true),
        Scale::Clip => ("clip", bar > 0),
    };
    let percent = |bar: usize| format!("{}e-2", (scale.edge(bar) * 100.0).round());
    let mut condition = format!("source = '{}'", source.replace('\'', "''"));
    if has_lower {
        condition += &format!(" and {column} >= {}", percent(bar));
    }
    if bar + 1 < BARS {
        condition += &format!(" and {column} < {}", percent(bar + 1));
    }
    condition
}

/// Sampled texts of the bars of a source.
pub(super) fn of_bars(samples: &Samples, rule: &Rule) -> Vec<Vec<Vec<Sampled>>> {
    let of = |source: usize| samples.bars[source].iter().map(|best| best.entries().to_vec()).collect();
    (0..rule.sources.len()).map(of).collect()
}
