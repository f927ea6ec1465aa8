//! Images whose perceptual hashes differ in a few bits: of near-duplicates the first stays.
//!
//! An image is left out if its hash is within the distance of an image that stayed, so a chain of similar
//! images a, b, c loses b and, if c is not near a, keeps c.
//!
//! The search is exact (multi-index hashing; Norouzi, Punjani and Fleet 2012): hashes that differ in at most
//! `d` bits differ in at most `r` bits within one of several bands, so a lookup reads the buckets of each
//! band whose numbers differ in at most `r` bits from the hash. The number of bands follows from the number
//! of images.

use super::{ExportError, digest::Digest, scratch::Scratch};
use std::{collections::HashSet, thread};

/// Most bands. Each has a copy of every kept hash: at most 32 bytes per image, and 4 MiB of counts per band.
const MOST_BANDS: u32 = 4;

/// Most bits of a bucket's number.
const MOST_BUCKET_BITS: u32 = 20;

/// Time of reading a bucket's position, in units of comparing two hashes.
const BUCKET_COST: f64 = 20.0;

/// Hashes that all cores compare with the index at once; a block is compared with itself on one core.
const BLOCK: usize = 1024;

/// Finds the images to leave out among the tasks' images, in the order of the sources. Memory: at most 32
/// bytes per image of the index, and 18 to 40 bytes for its digest.
pub(crate) fn near_duplicates(
    scratch: &Scratch,
    tasks: usize,
    distance: u32,
) -> Result<HashSet<Digest>, ExportError> {
    let mut all = 0;
    for task in 0..tasks {
        all += scratch.hashes(task)?.len() as u64;
    }
    let mut sizes = Sizes::new(distance, all);
    for task in 0..tasks {
        scratch.hashes(task)?.iter().for_each(|(_, hash)| sizes.count(*hash));
    }
    let (mut kept, mut seen, mut left_out) = (sizes.index(), HashSet::new(), HashSet::new());
    for task in 0..tasks {
        // Equal bytes are one image: its texts in several sources stay together.
        let images = scratch.hashes(task)?.into_iter().filter(|(digest, _)| seen.insert(*digest));
        let (digests, hashes): (Vec<Digest>, Vec<u64>) = images.unzip();
        let dropped = digests.iter().zip(kept.keep(&hashes)).filter(|(_, stays)| !stays);
        left_out.extend(dropped.map(|(digest, _)| *digest));
    }
    Ok(left_out)
}

/// Part of the bits of a hash.
struct Band {
    shift: u32,
    bits: u32,
    /// Numbers of at most `r` one bits, which lead from a bucket to its neighbours.
    masks: Vec<u32>,
}

impl Band {
    fn bucket(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize & ((1 << self.bits) - 1)
    }
}

/// Numbers of hashes in each bucket: the index has a place for every hash that may be kept.
pub(crate) struct Sizes {
    distance: u32,
    bands: Vec<(Band, Vec<u32>)>,
}

impl Sizes {
    /// Buckets without hashes, for about `images` images.
    pub fn new(distance: u32, images: u64) -> Self {
        let bands = best_layout(distance, images).into_iter().map(|Layout { shift, bits, radius }| {
            let masks = (0..1_u32 << bits).filter(|mask| mask.count_ones() <= radius).collect();
            (Band { shift, bits, masks }, vec![0; 1 << bits])
        });
        Self { distance, bands: bands.collect() }
    }

    pub fn count(&mut self, hash: u64) {
        self.bands.iter_mut().for_each(|(band, sizes)| sizes[band.bucket(hash)] += 1);
    }

    /// The empty index.
    pub fn index(self) -> Index {
        let buckets = |(band, sizes): (Band, Vec<u32>)| {
            let mut all = 0;
            let start_of = |size: &u32| {
                all += *size as usize;
                all - *size as usize
            };
            let starts: Vec<usize> = sizes.iter().map(start_of).collect();
            Buckets { band, filled: vec![0; sizes.len()], starts, hashes: vec![0; all] }
        };
        Index { distance: self.distance, bands: self.bands.into_iter().map(buckets).collect() }
    }
}

/// Hashes of a band, bucket after bucket.
struct Buckets {
    band: Band,
    starts: Vec<usize>,
    filled: Vec<u32>,
    hashes: Vec<u64>,
}

/// Hashes of kept images.
pub(crate) struct Index {
    distance: u32,
    bands: Vec<Buckets>,
}

impl Index {
    /// Adds each hash, unless a kept hash is within the distance; whether it was added. The hashes were
    /// counted.
    pub fn keep(&mut self, hashes: &[u64]) -> Vec<bool> {
        hashes.chunks(BLOCK).flat_map(|block| self.keep_block(block)).collect()
    }

    /// As [`Self::keep`]: all cores compare the block with the index, then one compares it with itself.
    fn keep_block(&mut self, hashes: &[u64]) -> Vec<bool> {
        let mut added: Vec<u64> = Vec::new();
        let mut stay = self.without_near(hashes);
        for (hash, stays) in hashes.iter().zip(&mut stay) {
            *stays = *stays && !has_near(&added, *hash, self.distance);
            if *stays {
                added.push(*hash);
            }
        }
        added.into_iter().for_each(|hash| self.add(hash));
        stay
    }

    /// Whether no hash of the index is within the distance.
    fn without_near(&self, hashes: &[u64]) -> Vec<bool> {
        let of = |hash: &u64| !self.bands.iter().any(|buckets| buckets.has_near(*hash, self.distance));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        if hashes.len() < BLOCK {
            return hashes.iter().map(of).collect();
        }
        thread::scope(|scope| {
            let parts = hashes.chunks(BLOCK.div_ceil(cores));
            let parts: Vec<_> =
                parts.map(|part| scope.spawn(move || part.iter().map(of).collect::<Vec<bool>>())).collect();
            parts.into_iter().flat_map(|part| part.join().expect("a comparison does not panic")).collect()
        })
    }

    fn add(&mut self, hash: u64) {
        for Buckets { band, starts, filled, hashes } in &mut self.bands {
            let bucket = band.bucket(hash);
            hashes[starts[bucket] + filled[bucket] as usize] = hash;
            filled[bucket] += 1;
        }
    }
}

fn has_near(hashes: &[u64], hash: u64, distance: u32) -> bool {
    hashes.iter().any(|other| (hash ^ other).count_ones() <= distance)
}

impl Buckets {
    fn has_near(&self, hash: u64, distance: u32) -> bool {
        let own = self.band.bucket(hash);
        self.band.masks.iter().any(|mask| {
            let bucket = own ^ *mask as usize;
            let start = self.starts[bucket];
            has_near(&self.hashes[start..start + self.filled[bucket] as usize], hash, distance)
        })
    }
}

/// A band before its masks are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    shift: u32,
    bits: u32,
    radius: u32,
}

/// The layout with the cheapest lookup, if hashes were uniform.
fn best_layout(distance: u32, images: u64) -> Vec<Layout> {
    let layouts = (1..=MOST_BANDS).map(|bands| layout(distance, bands));
    let cost = |bands: &Vec<Layout>| -> f64 {
        let of_band = |band: &Layout| {
            let buckets: f64 = (0..=band.radius.min(band.bits)).map(|ones| choose(band.bits, ones)).sum();
            buckets * (BUCKET_COST + images as f64 / f64::from(1_u32 << band.bits))
        };
        bands.iter().map(of_band).sum()
    };
    layouts.min_by(|a, b| cost(a).total_cmp(&cost(b))).expect("there is a layout for each number of bands")
}

/// Bands of about equal bits. Their radii add up so that hashes within the distance meet in a band: if they
/// met in none, they would differ in at least the sum of `radius + 1` bits, which is `distance + 1`.
fn layout(distance: u32, bands: u32) -> Vec<Layout> {
    let misses = distance + 1;
    let of = |band: u32| {
        let (shift, end) = (64 * band / bands, 64 * (band + 1) / bands);
        // A band without a miss to give is not needed.
        let share = misses / bands + u32::from(band < misses % bands);
        let radius = share.checked_sub(1)?;
        Some(Layout { shift, bits: (end - shift).min(MOST_BUCKET_BITS), radius })
    };
    (0..bands).filter_map(of).collect()
}

fn choose(n: u32, k: u32) -> f64 {
    (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product()
}

#[cfg(test)]
mod tests;
