//! `job.json`: the definition of a job, written once and never changed. Every later run must match it.

use crate::{
    hash::{sha256_hex, sha256_hex_of_parts},
    hub_url, model_files,
    plan::{InputFile, RefusedFile},
    record::Record,
    settings::{Auto, Settings, Workers},
};
use serde::{Deserialize, Serialize};

/// Version of the job record.
pub const VERSION: u32 = 1;

/// The frozen description of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Version of the record ([`VERSION`]).
    pub version: u32,
    /// Version of the program that planned the job.
    pub program: String,
    /// The settings, with every `auto` that can change a result resolved, and without the machine's own
    /// settings.
    pub settings: Settings,
    /// Checkpoint of the captioner; [`ModelRecord::none`] for a job without one.
    pub captioner: ModelRecord,
    /// Checkpoint of the filter.
    pub filter: ModelRecord,
    /// Checkpoint of the CLIP; [`ModelRecord::none`] for a job without one.
    #[serde(default = "ModelRecord::none", skip_serializing_if = "ModelRecord::is_none")]
    pub clip: ModelRecord,
    /// Digest and totals of the plan.
    pub plan: PlanRecord,
}

impl Record for JobRecord {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "job record";
}

/// Identity of a job: the SHA-256 of the bytes of its `job.json`.
///
/// The digest covers the bytes, not their meaning: `job.json` is written once, so its bytes never change,
/// whereas a later version of the program would write the same settings with more keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobDigest(String);

impl JobDigest {
    /// Digest of the job whose `job.json` has these bytes.
    pub fn of(job_json: &[u8]) -> Self {
        Self(sha256_hex(job_json))
    }

    /// Reason why a record with this digest, or without one, belongs to another job; `None` if it may be of
    /// this job.
    pub fn foreign(&self, carried: Option<&Self>) -> Option<String> {
        let other = carried.filter(|other| *other != self)?;
        Some(format!(
            "it belongs to another job (job.json with SHA-256 {}…, here {}…)",
            other.head(),
            self.head()
        ))
    }

    /// The digest, in hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A prefix that distinguishes two jobs.
    fn head(&self) -> String {
        self.0.chars().take(12).collect()
    }
}

/// A checkpoint, identified by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Files of the checkpoint, by name.
    pub files: Vec<ModelFile>,
}

/// One file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Name in the checkpoint's folder.
    pub name: String,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
}

impl ModelRecord {
    /// The record of a job that loads no checkpoint in this role.
    pub fn none() -> Self {
        Self { files: Vec::new() }
    }

    /// Whether the job loads no checkpoint in this role.
    pub fn is_none(&self) -> bool {
        self.files.is_empty()
    }

    /// One digest for the whole checkpoint; it is the name of its folder in the local cache.
    pub fn digest(&self) -> String {
        sha256_hex_of_parts(self.files.iter().flat_map(|file| [file.name.as_bytes(), file.sha256.as_bytes()]))
    }

    /// The same checkpoint, as the version that wrote `frozen` recorded it: without the files of
    /// [`model_files::NEWER`] that `frozen` does not have.
    pub fn as_recorded_in(&self, frozen: &Self) -> Self {
        let is_there = |name: &str| frozen.files.iter().any(|file| file.name == name);
        let is_newer = |name: &str| model_files::NEWER.contains(&name);
        let keep = |file: &&ModelFile| !is_newer(&file.name) || is_there(&file.name);
        Self { files: self.files.iter().filter(keep).cloned().collect() }
    }
}

/// The plan of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// Path below the job's URL.
    pub path: String,
    /// SHA-256 of the plan's bytes, in hexadecimal digits.
    pub sha256: String,
    /// Planned shards.
    pub shards: u64,
    /// Planned rows.
    pub rows: u64,
    /// Input files without a shard; with any of them, the job ends with the exit code of quarantined data.
    #[serde(default)]
    pub refused: Vec<RefusedFile>,
    /// Valid input files without a row. No shard lists them, and a resumed job must know them.
    #[serde(default)]
    pub without_rows: Vec<InputFile>,
}

impl JobRecord {
    /// Settings in their frozen form: `batch` stays, the other keys of `workers` are the machine's own.
    pub fn frozen(settings: &Settings) -> Settings {
        let workers = Workers { batch: settings.workers.batch, ..Workers::default() };
        Settings { workers, ..settings.clone() }
    }

    /// Keys in which settings differ from the frozen ones, as `key: frozen → requested`. `auto` agrees with
    /// every frozen value.
    pub fn differences(&self, asked: &Settings) -> Vec<String> {
        let mut asked = Self::frozen(asked);
        if asked.workers.batch == Auto::Auto {
            asked.workers.batch = self.settings.workers.batch;
        }
        if asked.models.precision == crate::settings::Precision::Auto {
            asked.models.precision = self.settings.models.precision;
        }
        // The URL of a checkpoint is not its identity: the digests are compared instead.
        if asked.models.captioner.is_some() && self.settings.models.captioner.is_some() {
            asked.models.captioner.clone_from(&self.settings.models.captioner);
        }
        asked.models.filter.clone_from(&self.settings.models.filter);
        if asked.models.clip.is_some() && self.settings.models.clip.is_some() {
            asked.models.clip.clone_from(&self.settings.models.clip);
        }
        // The load on an endpoint changes no caption.
        asked.captioner.concurrency = self.settings.captioner.concurrency;
        asked.captioner.request_seconds = self.settings.captioner.request_seconds;
        asked.captioner.api_key_env.clone_from(&self.settings.captioner.api_key_env);
        // Access to a store is a matter of the machine.
        asked.stores.clone_from(&self.settings.stores);
        // A job may have several URLs (a path and its file:// URL, another mount).
        asked.job.url.clone_from(&self.settings.job.url);
        // A final slash marks the input as a prefix, and the plan replaces a branch of the Hub by its commit;
        // the input's files are compared separately.
        let (asked_url, frozen_url) = (&asked.input.url, &self.settings.input.url);
        if asked_url.trim_end_matches('/') == frozen_url.trim_end_matches('/')
            || hub_url::is_pinned(frozen_url, asked_url)
        {
            asked.input.url.clone_from(&self.settings.input.url);
        }
        let flat = |settings: &Settings| serde_json::to_value(settings).map(flatten).unwrap_or_default();
        let (frozen, asked) = (flat(&self.settings), flat(&asked));
        let keys: std::collections::BTreeSet<&String> = frozen.keys().chain(asked.keys()).collect();
        let shown = |value: Option<&serde_json::Value>| {
            value.map_or_else(|| "(not set)".to_owned(), ToString::to_string)
        };
        keys.into_iter()
            .filter(|key| frozen.get(*key) != asked.get(*key))
            .map(|key| format!("{key}: {} → {}", shown(frozen.get(key)), shown(asked.get(key))))
            .collect()
    }
}

fn flatten(value: serde_json::Value) -> std::collections::BTreeMap<String, serde_json::Value> {
    let serde_json::Value::Object(sections) = value else { return Default::default() };
    let keys = |(section, content): (String, serde_json::Value)| match content {
        serde_json::Value::Object(keys) => {
            keys.into_iter().map(|(key, value)| (format!("{section}.{key}"), value)).collect::<Vec<_>>()
        }
        other => vec![(section, other)],
    };
    sections.into_iter().flat_map(keys).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::parse;

    #[test]
    fn only_what_can_change_a_result_is_a_difference() {
        let text = "[job]\nurl='/j'\n[input]\nurl='/i'\n[models]\ncaptioner='/c'\nfilter='/f'\n\
                    precision='f32'\n[workers]\nbatch=8\n";
        let settings = parse(text, &[]).unwrap();
        let model = ModelRecord { files: vec![] };
        let plan = PlanRecord {
            path: "p".into(),
            sha256: "0".into(),
            shards: 0,
            rows: 0,
            refused: vec![],
            without_rows: vec![],
        };
        let job = JobRecord {
            version: VERSION,
            program: "0".into(),
            settings: JobRecord::frozen(&settings),
            captioner: model.clone(),
            filter: model,
            clip: ModelRecord::none(),
            plan,
        };
        let asked = |entry: &str| parse(text, &[entry.to_owned()]).unwrap();
        assert!(job.differences(&settings).is_empty());
        assert!(job.differences(&asked("workers.devices=[\"cpu\",\"cpu\"]")).is_empty());
        assert!(job.differences(&asked("workers.batch=\"auto\"")).is_empty());
        assert_eq!(
            job.differences(&asked("filter.web_threshold=0.25")),
            ["filter.web_threshold: 0.5 → 0.25"]
        );
        assert_eq!(job.differences(&asked("workers.batch=4")), ["workers.batch: 8 → 4"]);
    }
}
