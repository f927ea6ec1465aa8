//! The training data of a run, described by the footers of its files.

use super::{
    DataError,
    order::{self, Size},
    questions::Answers,
};
use capfilt_pipeline::{
    cleaned::{Referenced, ShardTables},
    input::{InputColumns, PairColumns},
};
use capfilt_schemas::{
    plan::Shard,
    settings::{
        train::Training,
        training_data::{Augment, Texts},
    },
};
use capfilt_store::Location;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// One source of pairs.
pub struct Source {
    /// Location of the job or of the tables.
    pub place: Location,
    /// Weight of the source among all sources.
    pub weight: f64,
    /// Kind of the tables.
    pub content: Content,
}

/// Content of a source.
pub enum Content {
    /// Files with an image and a text in each row; each row group is a separate shard.
    Rows {
        /// Row groups.
        shards: Vec<Shard>,
        /// Columns of the image, the text, and what the kind of the rows needs besides them.
        columns: Box<InputColumns>,
        /// Kind of the rows.
        kind: RowKind,
    },
    /// The pairs tables of a finished job, and the location of its images if the tables do not contain them.
    Job {
        /// Pairs tables.
        tables: Vec<JobTable>,
        /// Which texts are used.
        choice: Choice,
        /// Location of the images, if the tables only name them.
        referenced: Option<Arc<Referenced>>,
    },
}

/// Kind of the rows of a source: meaning of their texts.
#[derive(Debug, Clone)]
pub enum RowKind {
    /// Captions of the image.
    Captions,
    /// A question about the image, with answers.
    Questions(Answers),
    /// A statement about the image and a second one, with its truth.
    Statements(PairColumns),
}

/// A pairs table of a job: number of rows, and number of texts per source.
pub struct JobTable {
    /// Paths of the tables.
    pub tables: ShardTables,
    /// Kept texts of the input.
    pub web: u64,
    /// Kept captions.
    pub synthetic: u64,
}

/// Which texts of an image are used; with [`Texts::Random`] also how often a synthetic one.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// Which texts of an image are used.
    pub texts: Texts,
    /// Probability of a caption with [`Texts::Random`], 0 to 1.
    pub synthetic_share: f64,
}

/// Pairs that are read together.
pub struct Group {
    /// Index of the source in the settings.
    pub source: usize,
    pub place: Location,
    pub weight: f64,
    pub pairs: u64,
    pub content: GroupContent,
}

/// A row group, or a job's table.
pub enum GroupContent {
    Rows { shard: Shard, columns: InputColumns, kind: RowKind },
    Table { tables: ShardTables, choice: Choice, referenced: Option<Arc<Referenced>> },
}

impl JobTable {
    /// Number of pairs under a rule.
    fn pairs(&self, texts: Texts) -> u64 {
        match texts {
            Texts::Both => self.web + self.synthetic,
            Texts::Web => self.web,
            Texts::Synthetic => self.synthetic,
            Texts::Random | Texts::Score => self.tables.pairs.rows,
        }
    }
}

impl Source {
    /// Groups of the source, without groups that have no pair under the rule.
    fn into_groups(self, source: usize) -> Vec<Group> {
        let Self { place, weight, content } = self;
        let group = |pairs, content| Group { source, place: place.clone(), weight, pairs, content };
        match content {
            Content::Rows { shards, columns, kind } => {
                let rows = |shard: Shard| {
                    let (columns, kind) = (InputColumns::clone(&columns), kind.clone());
                    group(shard.rows, GroupContent::Rows { shard, columns, kind })
                };
                shards.into_iter().map(rows).collect()
            }
            Content::Job { tables, choice, referenced } => {
                let table = |table: JobTable| {
                    let (pairs, referenced) = (table.pairs(choice.texts), referenced.clone());
                    group(pairs, GroupContent::Table { tables: table.tables, choice, referenced })
                };
                tables.into_iter().map(table).filter(|group| group.pairs > 0).collect()
            }
        }
    }
}

impl Group {
    /// File and row group, for messages.
    pub fn name(&self) -> String {
        match &self.content {
            GroupContent::Rows { shard, .. } => {
                format!("{}, {}", shard.file.path, shard.part)
            }
            GroupContent::Table { tables, .. } => tables.pairs.path.clone(),
        }
    }

    /// Whether the images are in other objects, so that their size is unknown.
    fn is_referenced(&self) -> bool {
        matches!(self.content, GroupContent::Table { referenced: Some(_), .. })
    }

    /// Compressed size in bytes.
    fn bytes(&self) -> u64 {
        match &self.content {
            GroupContent::Rows { shard, .. } => shard.bytes,
            GroupContent::Table { tables, .. } => tables.pairs.bytes,
        }
    }

    /// Adds the values that decide the group's pairs to the hash of the data set's version.
    fn name_to(&self, hash: &mut Sha256) {
        match &self.content {
            GroupContent::Rows { shard, kind, .. } => {
                hash.update(shard.id.as_str());
                if let RowKind::Questions(answers) = kind {
                    hash.update(answers.weight.to_le_bytes());
                }
            }
            GroupContent::Table { tables, choice, referenced } => {
                hash.update(&tables.pairs.sha256);
                // The ledger has the digests of images in other objects.
                if referenced.is_some() {
                    hash.update(&tables.ledger.sha256);
                }
                hash.update(choice.texts.name());
                hash.update(choice.synthetic_share.to_le_bytes());
            }
        }
        hash.update(self.weight.to_le_bytes());
    }
}

/// A data set, and the settings of its iteration.
pub struct Dataset {
    groups: Vec<Group>,
    version: String,
    pub(super) batch: u32,
    pub(super) seed: u64,
    /// Rows of a group that stay adjacent.
    pub(super) together: u64,
    pub(super) augment: Augment,
    /// Bytes of encoded pairs that stay in memory between epochs.
    pub(super) cache_bytes: u64,
}

impl Dataset {
    /// Combines sources.
    ///
    /// # Errors
    /// The sources have fewer pairs than one batch, or a weight is invalid.
    pub fn new(sources: Vec<Source>, settings: &Training) -> Result<Self, DataError> {
        if let Some(source) = sources.iter().find(|source| !(source.weight > 0.0 && source.weight <= 1000.0))
        {
            return Err(DataError::Weight(source.weight));
        }
        let groups: Vec<Group> =
            sources.into_iter().enumerate().flat_map(|(i, source)| source.into_groups(i)).collect();
        let mut hash = Sha256::new();
        groups.iter().for_each(|group| group.name_to(&mut hash));
        let dataset = Self {
            groups,
            version: hex::encode(&hash.finalize()[..10]),
            batch: settings.run.batch,
            seed: settings.run.seed,
            together: u64::from(settings.run.together),
            augment: settings.augment.clone(),
            cache_bytes: (settings.run.cache_gib * f64::from(1 << 30)) as u64,
        };
        if dataset.steps_per_epoch() == 0 {
            return Err(DataError::TooFew { pairs: dataset.pairs(), batch: dataset.batch });
        }
        Ok(dataset)
    }

    /// Digest of the files and their states: equal for equal data, at any location.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Number of pairs of one epoch.
    pub fn pairs(&self) -> u64 {
        order::pairs_per_epoch(&self.sizes())
    }

    /// Number of batches of one epoch; an incomplete last batch is dropped.
    pub fn steps_per_epoch(&self) -> u64 {
        self.pairs() / u64::from(self.batch.max(1))
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub(super) fn sizes(&self) -> Vec<Size> {
        let size = |group: &Group| Size { source: group.source, rows: group.pairs, weight: group.weight };
        self.groups.iter().map(size).collect()
    }

    /// Whether the whole data set fits into the cache.
    pub(super) fn is_small(&self) -> bool {
        let is_known = !self.groups.iter().any(Group::is_referenced);
        is_known && self.groups.iter().map(Group::bytes).sum::<u64>() <= self.cache_bytes
    }
}
