//! A stream of the newest committed rows: a few rows of each new commit.

use crate::pictures::PictureName;
use capfilt_coordinator::{CommitName, state::commits};
use capfilt_pipeline::output::read_ledger;
use capfilt_report::gallery::NoPicture;
use capfilt_schemas::{
    commit::Commit, job::JobDigest, ledger::LedgerRow, object_keys::Table, status::RowStatus,
};
use capfilt_store::Location;
use std::{collections::VecDeque, sync::Arc};

/// Rows that are taken from a new commit: its first ones.
const ROWS_PER_COMMIT: usize = 4;

/// Rows that are shown.
const ROWS: usize = 24;

/// New commits whose ledgers are read at one time; older ones are left out.
const COMMITS_AT_ONCE: usize = 2;

/// Longest shown text, in characters.
const TEXT_CHARS: usize = 500;

/// Texts that are shown of a row.
const TEXTS: usize = 8;

/// The newest rows, newest commit first. Memory: at most `ROWS` times `TEXTS` texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    pub rows: VecDeque<Arc<RowView>>,
    /// The newest commit whose ledger was read.
    newest: Option<CommitName>,
}

/// A row as the page shows it. Every text is hostile.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowView {
    pub key: Option<String>,
    pub file: String,
    pub row: u64,
    pub status: &'static str,
    pub detail: Option<String>,
    pub texts: Vec<TextView>,
    /// The picture; a row that surely has none has the reason.
    pub picture: Result<PictureName, NoPicture>,
}

/// A text of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextView {
    pub source: String,
    pub text: String,
    /// P(match), 0 to 1, and whether the text is kept; `None` if the text was not judged.
    pub verdict: Option<(f32, bool)>,
    pub status: &'static str,
}

impl RowView {
    pub fn of(row: &LedgerRow, commit: &CommitName) -> Self {
        let texts = row.texts.iter().take(TEXTS).map(|text| TextView {
            source: cut(&text.source),
            text: cut(text.text.as_deref().unwrap_or("")),
            verdict: text.scored.map(|scored| (scored.itm, scored.kept)),
            status: text.status.as_str(),
        });
        Self {
            key: row.key.as_deref().map(cut),
            file: cut(&row.file),
            row: row.row,
            status: row.status.as_str(),
            detail: row.detail.as_deref().map(cut),
            texts: texts.collect(),
            picture: picture(row, commit),
        }
    }
}

fn picture(row: &LedgerRow, commit: &CommitName) -> Result<PictureName, NoPicture> {
    match row.status {
        RowStatus::ImageMissing | RowStatus::ImageUnreachable | RowStatus::ImageRefused => {
            Err(NoPicture::Missing)
        }
        RowStatus::Crashed => Err(NoPicture::Crashed),
        _ => Ok(PictureName { shard: commit.shard.clone(), commit: commit.n, row: row.row }),
    }
}

/// The beginning of a text, with a mark if the text is longer.
fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Samples {
    /// Takes rows of the commits (newest first) that are newer than those before. A ledger that cannot be
    /// read is left out: `capfilt verify` reports it.
    pub async fn take_newer(&mut self, bucket: &Location, job: Option<&JobDigest>, commits: &[CommitName]) {
        let known = self.newest.clone();
        let is_new = |name: &&CommitName| known.as_ref() != Some(*name);
        let new: Vec<&CommitName> = commits.iter().take_while(is_new).take(COMMITS_AT_ONCE).collect();
        for name in new.into_iter().rev() {
            match first_rows(bucket, job, name).await {
                Ok(rows) => rows.into_iter().rev().for_each(|row| self.rows.push_front(row)),
                Err(why) => tracing::debug!(shard = %name.shard, why, "a ledger is left out of the page"),
            }
        }
        self.rows.truncate(ROWS);
        self.newest = commits.first().cloned().or(known);
    }
}

async fn first_rows(
    bucket: &Location,
    job: Option<&JobDigest>,
    name: &CommitName,
) -> Result<Vec<Arc<RowView>>, String> {
    let commit =
        commits::read(bucket, &name.shard, name.n, job).await.map_err(|error| error.to_string())?.commit;
    let mut rows = Vec::new();
    for ledger in ledgers(&commit) {
        let read = read_ledger(bucket, ledger, ROWS_PER_COMMIT).await.map_err(|error| error.to_string())?;
        rows.extend(read.iter().map(|row| Arc::new(RowView::of(row, name))));
    }
    rows.truncate(ROWS_PER_COMMIT);
    Ok(rows)
}

/// The ledgers of a commit: one.
pub(crate) fn ledgers(commit: &Commit) -> impl Iterator<Item = &capfilt_schemas::commit::Output> {
    commit.outputs.iter().filter(|output| output.table == Table::Ledger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let cut = cut(&"ä".repeat(TEXT_CHARS + 1));
        assert_eq!(cut.chars().count(), TEXT_CHARS + 1);
        assert!(cut.ends_with('…'));
    }
}
