//! Counts of the pairs that an export read, by their treatment.

use super::Origin;
use serde::{Deserialize, Serialize};

/// Counts of pairs. Each text of an image is one pair, in both kinds of samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Pairs of the sources.
    pub read: u64,
    /// Written texts of people.
    pub human: u64,
    /// Written texts of the inputs of jobs.
    pub web: u64,
    /// Written synthetic texts.
    pub synthetic: u64,
    /// Pairs with equal image and equal cleaned text as an earlier pair.
    pub duplicates: u64,
    /// Pairs without an image or without a text.
    pub unusable: u64,
    /// Pairs whose image cannot be decoded.
    #[serde(default)]
    pub bad_images: u64,
    /// Pairs of a job with P(match) below the requested minimum.
    #[serde(default)]
    pub below_min_itm: u64,
    /// Pairs that match an entry of an exclusion list.
    #[serde(default)]
    pub excluded: u64,
    /// Pairs of images that nearly equal an earlier image of the export.
    #[serde(default)]
    pub near_duplicates: u64,
    /// Written samples: pairs, or images with their texts.
    #[serde(default)]
    pub samples: u64,
    /// Image files beside lists.
    pub images: u64,
}

impl Counts {
    /// Written pairs, of any origin.
    pub fn written(&self) -> u64 {
        self.human + self.web + self.synthetic
    }

    /// Whether every pair that was read is counted once, and the samples do not exceed the written pairs.
    pub fn balance(&self) -> bool {
        let unfit = self.unusable + self.bad_images + self.below_min_itm;
        let left_out = self.duplicates + unfit + self.excluded + self.near_duplicates;
        self.read == self.written() + left_out && self.samples <= self.written()
    }

    /// Counts one written pair.
    pub fn count(&mut self, origin: Origin) {
        match origin {
            Origin::Human => self.human += 1,
            Origin::Web => self.web += 1,
            Origin::Synthetic => self.synthetic += 1,
        }
    }

    /// Adds other counts.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            read,
            human,
            web,
            synthetic,
            duplicates,
            unusable,
            bad_images,
            below_min_itm,
            excluded,
            near_duplicates,
            samples,
            images,
        } = self;
        *read += other.read;
        *human += other.human;
        *web += other.web;
        *synthetic += other.synthetic;
        *duplicates += other.duplicates;
        *unusable += other.unusable;
        *bad_images += other.bad_images;
        *below_min_itm += other.below_min_itm;
        *excluded += other.excluded;
        *near_duplicates += other.near_duplicates;
        *samples += other.samples;
        *images += other.images;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_with_a_missing_or_an_extra_pair_do_not_balance() {
        let counts =
            Counts { read: 10, human: 2, duplicates: 1, unusable: 1, bad_images: 2, ..Counts::default() };
        let counts = Counts { below_min_itm: 1, excluded: 1, near_duplicates: 2, samples: 2, ..counts };
        assert!(counts.balance());
        assert!(!Counts { read: 11, ..counts }.balance());
        assert!(!Counts { web: 1, ..counts }.balance());
        assert!(!Counts { samples: 3, ..counts }.balance());
    }
}
