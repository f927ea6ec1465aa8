//! All that a run is trained on, known by the footers of its files.

use super::{DataError, order};
use capfilt_bucket::Place;
use capfilt_pipeline::input::InputColumns;
use capfilt_schemas::{
    plan::Shard,
    settings::{train::Training, training_data::Augment},
};
use sha2::{Digest as _, Sha256};

/// One source of pairs with its row groups, each a shard of its own.
pub struct Source {
    pub place: Place,
    pub shards: Vec<Shard>,
    pub columns: InputColumns,
    pub weight: f64,
}

/// One row group.
pub struct Group {
    pub place: Place,
    pub shard: Shard,
    pub columns: InputColumns,
    pub weight: f64,
}

/// A data set and how it is gone through.
pub struct Dataset {
    groups: Vec<Group>,
    version: String,
    pub(super) batch: u32,
    pub(super) seed: u64,
    pub(super) augment: Augment,
    /// Bytes of encoded pairs that stay in memory from one epoch to the next.
    pub(super) cache_bytes: u64,
}

impl Dataset {
    /// Puts sources together.
    ///
    /// # Errors
    /// When they hold too few pairs for one batch, or a weight makes no sense.
    pub fn new(sources: Vec<Source>, settings: &Training) -> Result<Self, DataError> {
        if let Some(source) = sources.iter().find(|source| !(source.weight > 0.0 && source.weight <= 1000.0)) {
            return Err(DataError::Weight(source.weight));
        }
        let mut hash = Sha256::new();
        let mut groups = Vec::new();
        for source in sources {
            for shard in source.shards {
                hash.update(shard.id.as_str());
                hash.update(source.weight.to_le_bytes());
                let (place, columns) = (source.place.clone(), source.columns.clone());
                groups.push(Group { place, shard, columns, weight: source.weight });
            }
        }
        let dataset = Self {
            groups,
            version: hex::encode(&hash.finalize()[..10]),
            batch: settings.run.batch,
            seed: settings.run.seed,
            augment: settings.augment.clone(),
            cache_bytes: (settings.run.cache_gib * f64::from(1 << 30)) as u64,
        };
        if dataset.steps_per_epoch() == 0 {
            return Err(DataError::TooFew { pairs: dataset.pairs(), batch: dataset.batch });
        }
        Ok(dataset)
    }

    /// Names these files at these states: equal for equal data, wherever they lie.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Pairs of one epoch.
    pub fn pairs(&self) -> u64 {
        order::pairs_per_epoch(&self.sizes())
    }

    /// Batches of one epoch; what is left over for no whole batch is left out.
    pub fn steps_per_epoch(&self) -> u64 {
        self.pairs() / u64::from(self.batch.max(1))
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Rows and weight of each row group.
    pub(super) fn sizes(&self) -> Vec<(u64, f64)> {
        self.groups.iter().map(|group| (group.shard.rows, group.weight)).collect()
    }

    /// Whether all of it fits into the cache.
    pub(super) fn is_small(&self) -> bool {
        self.groups.iter().map(|group| group.shard.bytes).sum::<u64>() <= self.cache_bytes
    }
}
