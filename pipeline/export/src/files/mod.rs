//! Files of an export: their samples, and their writers.

mod list;
mod mds;
mod metadata;
mod parquet;
mod sidecar;
mod tar;
mod upload;

pub(crate) use metadata::metadata;
pub(crate) use parquet::schema_of;

use super::{
    ExportError,
    arrange::{Arrangement, BucketTotals, Sample},
    export::Export,
    scratch::{Images, Scratch},
};
use capfilt_schemas::export::{File, Format, ImagePlace, Options};
use capfilt_store::Location;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::{collections::HashMap, ops::Range, sync::Arc};

/// Smallest number of files, if each then has this many samples: each loader of a trainer needs a file.
const LEAST_FILES: u64 = 16;
const LEAST_SAMPLES: u64 = 8;

/// Samples of a list or of a file of captions; readers hold a whole list in memory.
const LIST_LINES: u64 = 1_000_000;

/// Scratch files that a writer has open.
const OPEN: usize = 64;

/// Text files beside images that wait, and that are written at the same time.
const TEXTS_WAITING: usize = 256;
const TEXTS_AT_ONCE: usize = 32;

/// Number of files for a number of samples, at least one.
pub(crate) fn file_count(format: Format, options: &Options, samples: u64, image_bytes: u64) -> usize {
    let by_size = match format {
        Format::Imagefolder => return 1,
        Format::Json | Format::Llava | Format::Captions => samples.div_ceil(LIST_LINES),
        Format::Parquet | Format::Webdataset | Format::Energon | Format::Mds => {
            let for_loaders = samples.div_ceil(LEAST_SAMPLES).min(LEAST_FILES);
            image_bytes.div_ceil(options.file_mib.max(1) << 20).max(for_loaders)
        }
    };
    options.files.map_or(by_size, u64::from).clamp(1, samples.max(1)) as usize
}

/// Distribution of the samples over files.
pub(crate) struct Writing {
    pub arranged: Arc<Arrangement>,
    /// Number of the first sample of each bucket, and the number of all samples.
    starts: Vec<u64>,
    samples: u64,
    files: u64,
}

impl Writing {
    pub fn new(arranged: Arc<Arrangement>, totals: &[BucketTotals], samples: u64, files: usize) -> Self {
        let mut starts = vec![0];
        for bucket in totals {
            starts.push(starts.last().expect("it has a first") + bucket.counts.samples);
        }
        Self { arranged, starts, samples, files: files as u64 }
    }

    /// Sample numbers of a file. Files differ by at most one sample.
    fn range(&self, number: u64) -> Range<u64> {
        let start =
            |number: u64| (u128::from(number) * u128::from(self.samples) / u128::from(self.files)) as u64;
        start(number)..start(number + 1)
    }

    /// Writes a file.
    pub async fn file(
        &self,
        export: &Export,
        bucket: &Location,
        scratch: &Scratch,
        number: usize,
    ) -> Result<File, ExportError> {
        let range = self.range(number as u64);
        let path = export.format.file_name(number);
        let mut upload = upload::Upload::new(bucket, &path);
        let mut encoder = Encoder::new(export, &self.arranged, &path)?;
        let (mut images, mut texts) = (OpenImages::default(), TextFiles::new(bucket));
        if let Encoder::Mds(encoder) = &mut encoder {
            for of in self.buckets(&range) {
                self.samples(scratch, of, &range)?.iter().for_each(|(_, sample)| encoder.measure(sample));
            }
        }
        for of in self.buckets(&range) {
            for (at, sample) in self.samples(scratch, of, &range)? {
                let is_inside = export.format.images() == ImagePlace::Inside;
                let image = if is_inside { images.get(scratch, &sample)? } else { Vec::new() };
                if export.format == Format::Imagefolder {
                    texts.put(list::beside(&sample)).await?;
                }
                upload.put(encoder.add(at, sample, image)?).await?;
            }
        }
        texts.finish().await?;
        if let (Format::Energon, Encoder::Tar(encoder)) = (export.format, &encoder) {
            bucket.write(&format!("{path}.idx"), encoder.index().into()).await?;
        }
        upload.put(encoder.finish()?).await?;
        let (bytes, sha256) = upload.finish().await?;
        Ok(File { path, pairs: range.end - range.start, bytes, sha256 })
    }

    /// Buckets with samples of these numbers.
    fn buckets(&self, range: &Range<u64>) -> Range<usize> {
        let first = self.starts.partition_point(|start| *start <= range.start) - 1;
        let end = self.starts.partition_point(|start| *start < range.end);
        first..end.min(self.arranged.buckets())
    }

    /// Samples of a bucket that have these numbers, with their numbers.
    fn samples(
        &self,
        scratch: &Scratch,
        bucket: usize,
        range: &Range<u64>,
    ) -> Result<Vec<(u64, Sample)>, ExportError> {
        let numbered = (self.starts[bucket]..).zip(self.arranged.samples(scratch, bucket)?);
        Ok(numbered.filter(|(at, _)| range.contains(at)).collect())
    }
}

/// Encoder of one file; finished bytes are taken out after each sample.
enum Encoder<'a> {
    Parquet(Box<parquet::Encoder<'a>>),
    Tar(tar::Encoder<'a>),
    List(list::Encoder<'a>),
    Mds(mds::Encoder<'a>),
}

impl<'a> Encoder<'a> {
    fn new(export: &'a Export, arranged: &'a Arrangement, path: &str) -> Result<Self, ExportError> {
        Ok(match export.format {
            format @ (Format::Parquet | Format::Captions) => {
                Self::Parquet(Box::new(parquet::Encoder::new(&arranged.kinds, format, path)?))
            }
            Format::Mds => Self::Mds(mds::Encoder::new(&arranged.kinds, path)),
            Format::Webdataset | Format::Energon => Self::Tar(tar::Encoder::new(&arranged.kinds, path)),
            format @ (Format::Json | Format::Llava | Format::Imagefolder) => {
                Self::List(list::Encoder::new(&arranged.kinds, format, &export.options))
            }
        })
    }

    fn add(&mut self, number: u64, sample: Sample, image: Vec<u8>) -> Result<Vec<u8>, ExportError> {
        match self {
            Self::Parquet(encoder) => encoder.add(sample, image),
            Self::Tar(encoder) => encoder.add(number, &sample, &image),
            Self::List(encoder) => Ok(encoder.add(&sample)),
            Self::Mds(encoder) => encoder.add(&sample, image),
        }
    }

    fn finish(self) -> Result<Vec<u8>, ExportError> {
        match self {
            Self::Parquet(encoder) => encoder.finish(),
            Self::Tar(encoder) => encoder.finish(),
            Self::List(encoder) => Ok(encoder.finish()),
            // The end of the last sample is the end of the shard.
            Self::Mds(_) => Ok(Vec::new()),
        }
    }
}

/// Text files beside images; some are written at the same time.
struct TextFiles<'a> {
    bucket: &'a Location,
    waiting: Vec<(String, Vec<u8>)>,
}

impl<'a> TextFiles<'a> {
    fn new(bucket: &'a Location) -> Self {
        Self { bucket, waiting: Vec::new() }
    }

    async fn put(&mut self, file: (String, Vec<u8>)) -> Result<(), ExportError> {
        self.waiting.push(file);
        if self.waiting.len() >= TEXTS_WAITING { self.finish().await } else { Ok(()) }
    }

    async fn finish(&mut self) -> Result<(), ExportError> {
        let (bucket, waiting) = (self.bucket, std::mem::take(&mut self.waiting));
        let writes =
            stream::iter(waiting).map(|(path, text)| async move { bucket.write(&path, text.into()).await });
        Ok(writes.buffer_unordered(TEXTS_AT_ONCE).try_collect::<()>().await?)
    }
}

/// Scratch files that a writer has open.
#[derive(Default)]
struct OpenImages(HashMap<usize, Images>);

impl OpenImages {
    fn get(&mut self, scratch: &Scratch, sample: &Sample) -> Result<Vec<u8>, ExportError> {
        if !self.0.contains_key(&sample.task) {
            // A process can have about a thousand files open.
            if self.0.len() >= OPEN {
                self.0.clear();
            }
            self.0.insert(sample.task, scratch.images(sample.task)?);
        }
        self.0[&sample.task].get(sample.image.offset, sample.image.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_files_for_every_loader_and_more_when_there_is_more() {
        let options = Options { file_mib: 256, ..Options::default() };
        let count = |samples, bytes| file_count(Format::Webdataset, &options, samples, bytes);
        assert_eq!(count(180, 1 << 20), 16);
        assert_eq!(count(20, 1 << 20), 3);
        assert_eq!(count(1, 1), 1);
        assert_eq!(count(1_000_000, 100 << 30), 400);
        assert_eq!(file_count(Format::Json, &options, 180, 1 << 40), 1);
        let asked = Options { files: Some(7), ..options.clone() };
        assert_eq!(file_count(Format::Parquet, &asked, 180, 1 << 40), 7);
        assert_eq!(file_count(Format::Parquet, &asked, 5, 1), 5, "no file is empty");
    }
}
