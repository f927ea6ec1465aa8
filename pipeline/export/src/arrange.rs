//! Arrangement of the pairs into the samples of an export, in order: each pair once and, if a sample is an
//! image, with all its texts.

use super::{
    ExportError,
    caption::{Caption, sort_best_first},
    digest::Digest,
    entry::{Entry, Image, Origin},
    kinds::{self, Kinds},
    licences,
    near::near_duplicates,
    scratch::{Receipt, Scratch},
};
use capfilt_schemas::export::{Counts, Format, ImagePlace, LeftOut, Options, Per};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map::Entry as Slot};

/// Approximate number of pairs of a bucket. A bucket is sorted in memory, with 1 to 2 kB per pair.
const BUCKET_PAIRS: u64 = 8192;

/// Largest number of buckets, as a power of two: each task's list has a table of them.
const MOST_BUCKETS_LOG2: u32 = 12;

/// Largest number of rejected rows that the record names.
const NAMED: usize = 100;

/// Number of buckets of a shuffled order, as a power of two, for `pairs` pairs.
pub(crate) fn buckets_log2(options: &Options, pairs: u64) -> u32 {
    let wanted = pairs.div_ceil(BUCKET_PAIRS).next_power_of_two().ilog2();
    if options.shuffle.is_some() { wanted.min(MOST_BUCKETS_LOG2) } else { 0 }
}

/// One sample of the export.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// Task whose images have the sample's bytes.
    pub task: usize,
    pub image: Image,
    pub key: Option<String>,
    pub origin: Option<Origin>,
    pub caption: Caption,
    /// With `caption`, the best first.
    pub captions: Vec<Caption>,
    pub more: Map<String, Value>,
}

/// The pairs of all tasks, in buckets that are consecutive in the export's order.
pub(crate) struct Arrangement {
    per: Per,
    licence_column: Option<String>,
    is_shuffled: bool,
    receipts: Vec<Receipt>,
    /// For each task, in the sources' order: whether a pair is the first of several equal ones.
    first: Vec<Vec<bool>>,
    /// Images that are left out because they nearly equal an earlier one.
    near_duplicates: HashSet<Digest>,
    buckets: usize,
    pub kinds: Kinds,
    pub left_out: Vec<LeftOut>,
    /// Number of the entries of the exclusion lists that a row matched.
    pub matched_exclusions: u64,
}

/// Totals of a bucket.
#[derive(Debug, Clone, Default)]
pub(crate) struct BucketTotals {
    pub counts: Counts,
    pub image_bytes: u64,
    /// Samples of each licence.
    pub licences: BTreeMap<String, u64>,
    /// Digests of its images, if images are separate files.
    pub images: Vec<Digest>,
    /// Paths of the separate files of images that are left out as near-duplicates.
    pub unused_images: Vec<String>,
}

/// Samples of a bucket, and what was left out of it.
#[derive(Default)]
struct Loaded {
    samples: Vec<Sample>,
    duplicates: u64,
    /// One image for each pair.
    near_duplicates: Vec<Image>,
}

impl Arrangement {
    pub fn new(
        scratch: &Scratch,
        options: &Options,
        receipts: Vec<Receipt>,
        log2: u32,
    ) -> Result<Self, ExportError> {
        let mut kinds = Kinds::new();
        receipts.iter().for_each(|receipt| kinds::merge(&mut kinds, &receipt.kinds));
        let excluded_by: BTreeSet<u32> =
            receipts.iter().flat_map(|receipt| &receipt.excluded_by).copied().collect();
        let left_out = receipts.iter().flat_map(|receipt| &receipt.left_out).take(NAMED).cloned().collect();
        let is_shuffled = options.shuffle.is_some();
        let near_duplicates = match options.dedup_images {
            Some(distance) => near_duplicates(scratch, receipts.len(), distance)?,
            None => HashSet::new(),
        };
        let first = if is_shuffled { Vec::new() } else { first_of_their_kind(scratch, &receipts)? };
        let buckets = if is_shuffled { 1 << log2 } else { receipts.len() };
        let matched_exclusions = excluded_by.len() as u64;
        let per = options.per;
        Ok(Self {
            per,
            licence_column: options.licence_column.clone(),
            is_shuffled,
            receipts,
            first,
            near_duplicates,
            buckets,
            kinds,
            left_out,
            matched_exclusions,
        })
    }

    pub fn buckets(&self) -> usize {
        self.buckets
    }

    /// Counts of the reading.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.receipts.iter().for_each(|receipt| counts.merge(&receipt.counts));
        counts
    }

    /// Totals of a bucket.
    pub fn totals(
        &self,
        scratch: &Scratch,
        bucket: usize,
        format: Format,
    ) -> Result<BucketTotals, ExportError> {
        let Loaded { samples, duplicates, near_duplicates } = self.load(scratch, bucket)?;
        let mut totals = BucketTotals::default();
        totals.counts.samples = samples.len() as u64;
        totals.counts.duplicates = duplicates;
        totals.counts.near_duplicates = near_duplicates.len() as u64;
        if format.images() == ImagePlace::Beside {
            totals.unused_images = near_duplicates.iter().map(Image::path).collect();
            totals.unused_images.sort_unstable();
            totals.unused_images.dedup();
        }
        for sample in &samples {
            totals.image_bytes += sample.image.bytes;
            if let Some(column) = &self.licence_column {
                licences::count(&mut totals.licences, column, &sample.more)?;
            }
            match self.per {
                Per::Text => totals.counts.count(sample.caption.origin()),
                Per::Image => {
                    sample.captions.iter().for_each(|caption| totals.counts.count(caption.origin()))
                }
            }
            if format.images() == ImagePlace::Beside {
                totals.images.push(sample.image.digest);
            }
        }
        Ok(totals)
    }

    /// Samples of a bucket, in order.
    pub fn samples(&self, scratch: &Scratch, bucket: usize) -> Result<Vec<Sample>, ExportError> {
        Ok(self.load(scratch, bucket)?.samples)
    }

    fn load(&self, scratch: &Scratch, bucket: usize) -> Result<Loaded, ExportError> {
        let mut loaded = Loaded::default();
        if !self.is_shuffled {
            let entries = scratch.entries(bucket, &self.receipts[bucket], 0)?;
            for (entry, is_first) in entries.into_iter().zip(&self.first[bucket]) {
                if self.near_duplicates.contains(&entry.image.digest) {
                    loaded.near_duplicates.push(entry.image);
                } else if *is_first {
                    loaded.samples.push(sample(bucket, entry));
                } else {
                    loaded.duplicates += 1;
                }
            }
            return Ok(loaded);
        }
        let mut read = Vec::new();
        for (task, receipt) in self.receipts.iter().enumerate() {
            for entry in scratch.entries(task, receipt, bucket)? {
                match self.near_duplicates.contains(&entry.image.digest) {
                    true => loaded.near_duplicates.push(entry.image),
                    false => read.push((task, entry)),
                }
            }
        }
        (loaded.samples, loaded.duplicates) = match self.per {
            Per::Text => each_text(read),
            Per::Image => each_image(read),
        };
        Ok(loaded)
    }
}

/// Marks the first of equal pairs, in the sources' order. Memory: 16 bytes per pair, about 40 in a set that
/// is at most half empty.
fn first_of_their_kind(scratch: &Scratch, receipts: &[Receipt]) -> Result<Vec<Vec<bool>>, ExportError> {
    let mut seen = HashSet::new();
    let of_task = |(task, receipt): (usize, &Receipt)| {
        let entries = scratch.entries(task, receipt, 0)?;
        Ok(entries.iter().map(|entry| seen.insert(entry.pair)).collect())
    };
    receipts.iter().enumerate().map(of_task).collect()
}

fn sample(task: usize, entry: Entry) -> Sample {
    let mut captions = vec![entry.text.clone()];
    captions.extend(entry.others.iter().cloned());
    sort_best_first(&mut captions);
    let Entry { image, key, origin, text, more, .. } = entry;
    Sample { task, image, key, origin, caption: text, captions, more }
}

/// One sample per pair, in the order of the seed, and the number of samples before deduplication.
fn each_text(read: Vec<(usize, Entry)>) -> (Vec<Sample>, u64) {
    let (all, mut seen) = (read.len(), HashSet::new());
    let mut kept: Vec<(usize, Entry)> =
        read.into_iter().filter(|(_, entry)| seen.insert(entry.pair)).collect();
    kept.sort_by_key(|(_, entry)| (entry.place, entry.pair));
    let duplicates = (all - kept.len()) as u64;
    let mut samples: Vec<Sample> = kept.into_iter().map(|(task, entry)| sample(task, entry)).collect();
    part_neighbours(&mut samples);
    (samples, duplicates)
}

/// Swaps a sample that follows another one of its image with the next sample of a different image.
fn part_neighbours(samples: &mut [Sample]) {
    for i in 1..samples.len() {
        let before = samples[i - 1].image.digest;
        if samples[i].image.digest == before
            && let Some(other) = (i + 1..samples.len()).find(|&other| samples[other].image.digest != before)
        {
            samples.swap(i, other);
        }
    }
}

/// One sample per image with all its texts, in the order of the seed, and the number of texts before
/// deduplication.
fn each_image(read: Vec<(usize, Entry)>) -> (Vec<Sample>, u64) {
    let (mut seen, mut duplicates) = (HashSet::new(), 0);
    let mut of_image: HashMap<Digest, usize> = HashMap::new();
    let mut images: Vec<(u64, Sample)> = Vec::new();
    for (task, entry) in read {
        if !seen.insert(entry.pair) {
            duplicates += 1;
            continue;
        }
        match of_image.entry(entry.image.digest) {
            Slot::Occupied(known) => images[*known.get()].1.captions.push(entry.text),
            Slot::Vacant(new) => {
                new.insert(images.len());
                images.push((entry.place, sample(task, entry)));
            }
        }
    }
    images.sort_by_key(|(place, sample)| (*place, sample.image.digest));
    let with_best = |(_, mut sample): (u64, Sample)| {
        sort_best_first(&mut sample.captions);
        let caption = sample.captions[0].clone();
        Sample { caption, ..sample }
    };
    (images.into_iter().map(with_best).collect(), duplicates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_pipeline::image::ImageFormat;

    fn entry(image: &str, text: &str, itm: Option<f32>) -> (usize, Entry) {
        let digest = Digest::of_image(image.as_bytes());
        let pair = Digest::of_pair(digest, text);
        let source = if itm.is_some() { "alt_text" } else { "human" }.to_owned();
        let image = Image { digest, offset: 0, bytes: 1, width: 1, height: 1, kind: Some(ImageFormat::Jpeg) };
        let text = Caption { text: text.to_owned(), source, itm, cosine: None };
        (
            0,
            Entry {
                place: pair.place(0),
                pair,
                image,
                key: None,
                origin: None,
                text,
                others: vec![],
                more: Map::new(),
            },
        )
    }

    #[test]
    fn texts_of_one_image_are_not_adjacent_while_other_images_remain() {
        let texts = ["a", "b", "c", "d", "e"];
        let read = ["x", "y", "z"]
            .into_iter()
            .flat_map(|image| texts.map(|text| entry(image, text, None)))
            .collect();
        let (samples, duplicates) = each_text(read);
        assert_eq!((samples.len(), duplicates), (15, 0));
        let neighbours =
            samples.windows(2).filter(|pair| pair[0].image.digest == pair[1].image.digest).count();
        assert!(neighbours <= 1, "only the last may have no other to exchange with: {neighbours}");
    }

    #[test]
    fn an_image_is_one_sample_with_all_texts_and_the_best_first() {
        let read = vec![
            entry("x", "good", Some(0.9)),
            entry("y", "alone", Some(0.6)),
            entry("x", "fair", Some(0.5)),
            entry("x", "written by someone", None),
            entry("x", "good", Some(0.9)),
        ];
        let (samples, duplicates) = each_image(read);
        assert_eq!((samples.len(), duplicates), (2, 1));
        let x = samples.iter().find(|sample| sample.captions.len() == 3).unwrap();
        let texts: Vec<&str> = x.captions.iter().map(|caption| caption.text.as_str()).collect();
        assert_eq!(texts, ["written by someone", "good", "fair"]);
        assert_eq!(x.caption, x.captions[0]);
    }
}
