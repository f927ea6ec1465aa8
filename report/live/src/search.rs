//! Search in the texts and the images of committed rows, newest commits first, within bounds of rows, results
//! and time.

use crate::{
    likeness::Likeness,
    samples::{RowView, ledgers},
};
use capfilt_coordinator::{CommitName, state::commits};
use capfilt_pipeline::output::each_of_ledger;
use capfilt_schemas::{job::JobDigest, ledger::LedgerRow};
use capfilt_store::Location;
use regex::{Regex, RegexBuilder};
use std::time::{Duration, Instant};

/// Longest query, in bytes.
const QUERY_BYTES: usize = 200;

/// Largest compiled expression, and largest cache of its automaton, in bytes. With a text of `TEXT_BYTES`,
/// the slowest expression of this size takes a fraction of a second.
const REGEX_BYTES: usize = 64 << 10;

/// Beginning of a text that is searched, in bytes.
const TEXT_BYTES: usize = 8 << 10;

/// Most rows that are searched.
const ROWS: usize = 200_000;

/// Most rows that are found. Memory: at most a few kilobytes each.
const FOUND: usize = 50;

/// Limit of one search.
const WITHIN: Duration = Duration::from_secs(10);

/// Meaning of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each word of the query occurs in the text as a word, in any case.
    Words,
    /// The text matches the expression.
    Regex,
    /// The image is like the query, by the cosine of their vectors.
    Image,
}

impl Kind {
    /// The value in forms.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Regex => "regex",
            Self::Image => "image",
        }
    }

    /// The kind of a form's value: words, if the value is another.
    pub fn of(value: Option<&str>) -> Self {
        let all = [Self::Words, Self::Regex, Self::Image];
        all.into_iter().find(|kind| Some(kind.as_str()) == value).unwrap_or(Self::Words)
    }
}

/// A query of the search form.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub q: String,
    pub kind: Kind,
}

/// Result of a search.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// Rows, and the cosines of their images with the query if that was the search.
    pub rows: Vec<(RowView, Option<f32>)>,
    pub searched_rows: usize,
    pub searched_commits: usize,
    /// Commits whose ledgers could not be read.
    pub unreadable: usize,
    /// Rows whose images have no vector, in a search for images.
    pub without_vector: usize,
    /// The bound at which the search ended.
    pub stopped: Option<&'static str>,
}

/// Expressions that a text must all match.
pub(crate) struct Pattern(Vec<Regex>);

/// Condition on a row.
pub(crate) enum Wanted {
    Text(Pattern),
    Image(Likeness),
}

impl Wanted {
    /// Images like a text of which this is the vector.
    pub fn image(vector: Vec<f32>) -> Self {
        Self::Image(Likeness::to(vector, FOUND))
    }
}

impl Query {
    /// Checks the length of the query.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn check(&self) -> Result<(), String> {
        if self.q.trim().is_empty() || self.q.len() > QUERY_BYTES {
            return Err(format!("A search has 1 to {QUERY_BYTES} bytes."));
        }
        Ok(())
    }

    /// Compiles the query as expressions.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn pattern(&self) -> Result<Pattern, String> {
        self.check()?;
        let sources = match self.kind {
            Kind::Regex => vec![self.q.clone()],
            Kind::Words | Kind::Image => self.q.split_whitespace().map(word).collect(),
        };
        let compiled: Result<Vec<Regex>, regex::Error> =
            sources.iter().map(|source| compile(source)).collect();
        compiled.map(Pattern).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "The regular expression is too large.".to_owned(),
            error => format!("This is not a regular expression: {error}"),
        })
    }
}

/// Expression of one word; where the word begins or ends with a sign, the text may continue there.
fn word(word: &str) -> String {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let bound = |c| if is_letter(c) { r"\b" } else { "" };
    format!("(?i){}{}{}", bound(word.chars().next()), regex::escape(word), bound(word.chars().last()))
}

fn compile(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source).size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES).nest_limit(32).build()
}

impl Pattern {
    fn is_in(&self, row: &LedgerRow) -> bool {
        let mut texts = row.texts.iter().filter_map(|text| text.text.as_deref());
        texts.any(|text| self.0.iter().all(|regex| regex.is_match(beginning(text))))
    }
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES)]
}

/// A search that is running.
struct Search {
    wanted: Wanted,
    found: Found,
    until: Instant,
}

impl Search {
    fn take(&mut self, row: &LedgerRow, commit: &CommitName) {
        if self.is_over() {
            return;
        }
        self.found.searched_rows += 1;
        match &mut self.wanted {
            Wanted::Text(pattern) if pattern.is_in(row) => {
                self.found.rows.push((RowView::of(row, commit), None));
            }
            Wanted::Text(_) => {}
            Wanted::Image(likeness) => likeness.take(row, commit),
        }
    }

    fn into_found(self) -> Found {
        let Self { wanted, mut found, .. } = self;
        if let Wanted::Image(likeness) = wanted {
            found.without_vector = likeness.without_vector;
            found.rows = likeness.into_rows();
        }
        found
    }

    /// Whether a bound is reached; notes which one.
    fn is_over(&mut self) -> bool {
        let Found { rows, searched_rows, .. } = &self.found;
        let bound = match () {
            () if rows.len() >= FOUND => Some("it found as many rows as a page shows"),
            () if *searched_rows >= ROWS => Some("it read as many rows as one search may"),
            () if Instant::now() >= self.until => Some("its time was used up"),
            () => None,
        };
        self.found.stopped = bound.or(self.found.stopped);
        self.found.stopped.is_some()
    }
}

/// Searches the commits in their order until a bound is reached.
pub(crate) async fn search(
    bucket: &Location,
    job: Option<&JobDigest>,
    commits: &[CommitName],
    wanted: Wanted,
) -> Found {
    let mut search = Search { wanted, found: Found::default(), until: Instant::now() + WITHIN };
    for name in commits {
        if search.is_over() {
            break;
        }
        let left = search.until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, one(bucket, job, name, &mut search)).await {
            Ok(Ok(())) => search.found.searched_commits += 1,
            Ok(Err(())) => search.found.unreadable += 1,
            Err(_) => drop(search.is_over()),
        }
    }
    search.into_found()
}

async fn one(
    bucket: &Location,
    job: Option<&JobDigest>,
    name: &CommitName,
    search: &mut Search,
) -> Result<(), ()> {
    let commit = commits::read(bucket, &name.shard, name.n, job).await.map_err(drop)?.commit;
    for ledger in ledgers(&commit) {
        let left = ROWS.saturating_sub(search.found.searched_rows);
        each_of_ledger(bucket, ledger, left, |row| search.take(&row, name)).await.map_err(drop)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::{status::TextStatus, texts::LedgerText};

    fn is_found(q: &str, kind: Kind, text: &str) -> bool {
        let mut row = LedgerRow::missing("a.parquet", 0);
        row.texts.push(LedgerText::new("caption".into(), Some(text.to_owned()), TextStatus::Judged));
        Query { q: q.to_owned(), kind }.pattern().unwrap_or_else(|why| panic!("{why}")).is_in(&row)
    }

    #[test]
    fn words_are_found_in_any_order_and_case_and_not_inside_of_words() {
        assert!(is_found("cat Black", Kind::Words, "a BLACK big cat."));
        assert!(!is_found("cat black", Kind::Words, "a black category"));
        assert!(
            is_found("c++", Kind::Words, "C++ and (rust)") && is_found("(rust)", Kind::Words, "c (rust)")
        );
        assert!(is_found("über", Kind::Words, "Über uns"));
        assert!(is_found("^a .*cat$", Kind::Regex, "a black cat") && !is_found("^cat", Kind::Regex, "a cat"));
        assert!(
            !is_found("end", Kind::Words, &format!("{} end", "ä".repeat(TEXT_BYTES))),
            "beyond the bound"
        );
    }

    #[test]
    fn an_expression_that_would_need_much_memory_is_refused_with_a_sentence() {
        let refused = |q: &str| Query { q: q.to_owned(), kind: Kind::Regex }.pattern().err().unwrap();
        assert_eq!(refused(r"\w{1000}"), "The regular expression is too large.");
        assert!(refused("(").contains("not a regular expression"));
        assert!(refused(&"(".repeat(200)).contains("not a regular expression"));
        assert!(
            refused("").contains("1 to 200 bytes") && refused(&"a".repeat(201)).contains("1 to 200 bytes")
        );
    }

    #[test]
    fn the_slowest_expression_and_text_take_less_than_a_second() {
        let of = |n: u32| Query { q: format!("(?:a?){{{n}}}b"), kind: Kind::Regex }.pattern().ok();
        let pattern = (1..=1000).rev().find_map(of).unwrap();
        let mut row = LedgerRow::missing("a.parquet", 0);
        row.texts.push(LedgerText::new("caption".into(), Some("a".repeat(1 << 20)), TextStatus::Judged));
        let began = Instant::now();
        assert!(!pattern.is_in(&row));
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}
