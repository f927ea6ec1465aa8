//! Everything that a job recorded about a row of its input, for `capfilt explain` and for the live page.

use capfilt_coordinator::outputs::{OutputsError, Version, outputs};
use capfilt_pipeline::output::{LedgerError, Sought, find_in_ledger};
use capfilt_schemas::{
    commit::Commit,
    job::{JobRecord, ModelRecord},
    ledger::LedgerRow,
    object_keys::Table,
    plan::Shard,
    texts::{LedgerText, WEB},
};
use capfilt_store::Location;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use std::sync::Arc;

/// Ledgers that are searched at the same time.
const LEDGERS_AT_ONCE: usize = 8;

/// Reason why a row cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// No committed row has the name.
    #[error(
        "no committed row has this name; {open} shards of the job are not committed; \
         `capfilt files --table ledger` lists the ledgers with all keys, files and rows"
    )]
    NotFound {
        /// Shards of the plan without a commit.
        open: u64,
    },
    /// The job's commits cannot be read.
    #[error(transparent)]
    Outputs(#[from] OutputsError),
    /// A ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A row of the input, as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowName {
    /// The key of the row. Several rows may have the key.
    Key(String),
    /// The file of the row, below the input's URL, and the number of the row in the file, from 0.
    Address(String, u64),
}

impl RowName {
    /// An address as in the pairs of a job by reference: `web-00000.parquet#5`.
    ///
    /// # Errors
    /// A text of another form.
    pub fn address(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once('#').and_then(|(file, row)| Some((file, row.parse().ok()?)));
        let (file, row) = parts.ok_or("expected FILE#ROW, for example web-00000.parquet#5")?;
        Ok(Self::Address(file.to_owned(), row))
    }

    /// Whether the shard can have the row.
    fn may_be_in(&self, shard: &Shard) -> bool {
        match self {
            Self::Key(_) => true,
            Self::Address(file, row) => {
                let end = shard.first_row.saturating_add(shard.rows);
                shard.file.path == *file && *row >= shard.first_row && (!shard.rows_exact || *row < end)
            }
        }
    }

    fn sought(&self) -> Sought {
        match self {
            Self::Key(key) => Sought::Key(key.clone()),
            Self::Address(_, row) => Sought::Row(*row),
        }
    }
}

/// A row of the newest version of a job's tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The row of the ledger.
    pub row: LedgerRow,
    /// The commit of its shard.
    pub commit: Arc<Commit>,
    /// The shard.
    pub shard: Shard,
    /// The job.
    pub job: Arc<JobRecord>,
}

/// Finds the committed rows with a name.
///
/// # Errors
/// No row has the name; the job's objects cannot be read.
pub async fn find(bucket: &Location, name: &RowName) -> Result<Vec<Explained>, ExplainError> {
    let mut commits = Vec::new();
    let take = |shard: &Shard, result: capfilt_coordinator::state::commits::ShardResult| {
        commits.extend(name.may_be_in(shard).then(|| (shard.clone(), Arc::new(result.commit))));
    };
    let found = outputs(bucket, Version::NewestOrCommitted, take).await?;
    let (job, sought) = (Arc::new(found.job), name.sought());
    let searches = stream::iter(commits).map(async |(shard, commit)| {
        let mut rows = Vec::new();
        for ledger in commit.outputs.iter().filter(|output| output.table == Table::Ledger) {
            rows.extend(find_in_ledger(bucket, ledger, &sought).await?);
        }
        let of = (Arc::clone(&commit), shard, Arc::clone(&job));
        let explained = |row| Explained::new(row, of.clone());
        Ok::<_, LedgerError>(rows.into_iter().map(explained).collect::<Vec<_>>())
    });
    let rows: Vec<_> = searches.buffered(LEDGERS_AT_ONCE).try_collect().await?;
    let rows: Vec<Explained> = rows.into_iter().flatten().collect();
    if rows.is_empty() {
        return Err(ExplainError::NotFound { open: found.planned.saturating_sub(found.commits) });
    }
    Ok(rows)
}

impl Explained {
    fn new(mut row: LedgerRow, (commit, shard, job): (Arc<Commit>, Shard, Arc<JobRecord>)) -> Self {
        // Tables of version 1 have one text column, without its name.
        if let [column] = job.settings.input.text.names() {
            row.rename_source(WEB, &column.as_str().into());
        }
        Self { row, commit, shard, job }
    }

    /// Lines for people. Texts, keys and names are quoted, with control characters escaped.
    pub fn lines(&self, bucket: &Location) -> Vec<String> {
        let Self { row, commit, .. } = self;
        let mut lines = vec![
            line("key", row.key.as_ref().map_or("none".to_owned(), |key| format!("{key:?}"))),
            line("address", format!("{:?}, row {}", row.file, row.row)),
        ];
        lines.extend(row.member.iter().map(|member| line("member", format!("{member:?}"))));
        lines.push(line("image", self.image()));
        lines.push(line("status", row.status.as_str().to_owned()));
        lines.extend(row.detail.iter().map(|detail| line("detail", format!("{detail:?}"))));
        let clip = row.control_clip.map(|clip| format!(", CLIP score {clip:.2},")).unwrap_or_default();
        lines.extend(row.control_itm.map(|itm| {
            line(
                "control",
                format!("P(match) {itm:.4}{clip} of the text of another row (the negative control)"),
            )
        }));
        for text in &row.texts {
            lines.push(line("text", format!("{:?} ({}): {}", text.source, self.verdict(text), about(text))));
            lines.push(line("", text.text.as_ref().map_or("null".to_owned(), |text| format!("{text:?}"))));
        }
        let Commit { shard, n, attempt, worker, .. } = &**commit;
        lines.push(line("shard", format!("{shard}, commit {n}, attempt {attempt}, by worker {worker:?}")));
        let tables = commit.outputs.iter();
        lines.extend(tables.map(|output| line(output.table.as_str(), bucket.url_of(&output.path))));
        lines.extend(self.models().map(|(role, model)| line(role, format!("digest {}", model.digest()))));
        lines
    }

    /// The same as one JSON object.
    pub fn to_json(&self, bucket: &Location) -> Value {
        let Self { row, commit, .. } = self;
        let text = |text: &LedgerText| {
            let (itm, itc) = text.scored.map(|scored| (scored.itm, scored.itc)).unzip();
            let mut object = json!({
                "source": &*text.source, "text": text.text, "status": text.status.as_str(), "itm": itm,
                "itc": itc, "kept": text.is_kept(), "threshold": self.threshold(text),
                "language": text.language, "repetition": text.repetition,
            });
            if self.job.settings.models.clip.is_some() {
                object["clip"] = json!(text.scored.and_then(|scored| scored.clip));
                object["clip_threshold"] = json!(self.job.settings.filter.clip_threshold(&text.source));
            }
            object
        };
        let table = |wanted| {
            let output = commit.outputs.iter().find(|output| output.table == wanted);
            output.map(|output| bucket.url_of(&output.path))
        };
        let mut object = json!({
            "key": row.key, "file": row.file, "row": row.row, "member": row.member,
            "image_sha256": row.image_sha256.map(hex), "image_hash": row.image_hash,
            "width": row.width, "height": row.height, "status": row.status.as_str(), "detail": row.detail,
            "control_itm": row.control_itm, "texts": row.texts.iter().map(text).collect::<Vec<_>>(),
            "shard": commit.shard, "commit": commit.n, "attempt": commit.attempt, "worker": commit.worker,
            "ledger": table(Table::Ledger), "pairs": table(Table::Pairs),
            "quarantine": table(Table::Quarantine),
            "models": self.models().map(|(role, model)| (role.to_owned(), json!(model.digest())))
                .collect::<serde_json::Map<_, _>>(),
        });
        if self.job.settings.models.clip.is_some() {
            object["control_clip"] = json!(row.control_clip);
        }
        object
    }

    fn image(&self) -> String {
        let LedgerRow { width, height, image_sha256, image_hash, .. } = &self.row;
        let size = width.zip(*height).map(|(width, height)| format!("{width} x {height} px"));
        let sha256 = image_sha256.map(|digest| format!("SHA-256 {}", hex(digest)));
        let hash = image_hash.map(|hash| format!("perceptual hash {hash:016x}"));
        let known: Vec<String> = [size, sha256, hash].into_iter().flatten().collect();
        if known.is_empty() { "no bytes".to_owned() } else { known.join(", ") }
    }

    fn threshold(&self, text: &LedgerText) -> f64 {
        self.job.settings.filter.threshold(&text.source)
    }

    /// The CLIP threshold of a text, if the score does not reach it.
    fn clip_threshold_above(&self, text: &LedgerText, clip: Option<f32>) -> Option<f64> {
        let least = self.job.settings.filter.clip_threshold(&text.source);
        least.filter(|least| clip.is_none_or(|clip| f64::from(clip) < *least))
    }

    /// The verdict on a text, with the reason.
    fn verdict(&self, text: &LedgerText) -> String {
        let threshold = self.threshold(text);
        match text.scored {
            None => format!("not judged, {}", text.status),
            Some(scored) if scored.kept => format!("kept, threshold {threshold}"),
            Some(scored) if f64::from(scored.itm) < threshold => format!("dropped, threshold {threshold}"),
            Some(scored) if self.clip_threshold_above(text, scored.clip).is_some() => {
                let least = self.clip_threshold_above(text, scored.clip).unwrap_or_default();
                format!("dropped, CLIP threshold {least}")
            }
            Some(_) => {
                let keep = self.job.settings.captioner.keep.unwrap_or_default();
                format!("dropped, not among the best {keep} captions")
            }
        }
    }

    /// The checkpoints of the job, by role.
    fn models(&self) -> impl Iterator<Item = (&'static str, &ModelRecord)> {
        let all =
            [("filter", &self.job.filter), ("captioner", &self.job.captioner), ("clip", &self.job.clip)];
        all.into_iter().filter(|(_, model)| !model.is_none())
    }
}

/// Scores, language and repetition of a text.
fn about(text: &LedgerText) -> String {
    let scores = text.scored.map(|scored| {
        let clip = scored.clip.map(|clip| format!(", CLIP score {clip:.2}")).unwrap_or_default();
        format!("P(match) {:.4}, cosine {:+.4}{clip}", scored.itm, scored.itc)
    });
    let language = text.language.as_ref().map(|language| format!("language {language}"));
    let repetition = text.repetition.map(|share| format!("repetition {share:.2}"));
    let known: Vec<String> = [scores, language, repetition].into_iter().flatten().collect();
    known.join(", ")
}

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(name: &str, text: String) -> String {
    format!("{name:11} {text}").trim_end().to_owned()
}
