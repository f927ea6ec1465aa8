//! First half of an export: reads sources, validates images and distributes pairs over buckets.

use super::{
    ExportError,
    caption::Caption,
    check,
    digest::Digest,
    entry::{Entry, Image, Origin},
    export::Export,
    hash, kinds,
    scratch::{Receipt, Scratch, Spill},
    source::Row,
    tasks::Task,
};
use bytes::Bytes;
use capfilt_pipeline::{image::ImageFormat, resize::Resizer, text::pre_caption};
use capfilt_schemas::export::{DATA, Format, ImagePlace, LeftOut, Options, Per};
use capfilt_store::Location;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::HashMap;

/// Words of a text with `--clean-text`, as in BLIP.
const MAX_WORDS: usize = 30;

/// Largest number of rejected rows that a task names; all of them are counted.
const NAMED: usize = 20;

/// Concurrent image uploads of one task that writes BLIP lists, and the bytes that wait for them.
const WRITES_AT_ONCE: usize = 16;
const WAITING_BYTES: u64 = 16 << 20;

/// A task that is being read.
pub(crate) struct Gathering<'a> {
    export: &'a Export,
    bucket: &'a Location,
    buckets_log2: u32,
    spill: Spill,
    /// Images of this task, and their positions.
    images: HashMap<Digest, Image>,
    /// Image files that are not yet written.
    waiting: Vec<(String, Bytes)>,
    waiting_bytes: u64,
    entries: Vec<(usize, Entry)>,
    /// Perceptual hashes of the images, if near-duplicates are requested.
    hashes: Vec<(Digest, u64)>,
    resizer: Resizer,
    receipt: Receipt,
}

/// Reads a task into the scratch folder.
pub(crate) async fn gather(
    export: &Export,
    bucket: &Location,
    scratch: &Scratch,
    number: usize,
    task: &Task,
    buckets_log2: u32,
) -> Result<Receipt, ExportError> {
    let (spill, receipt) = (scratch.spill(number)?, Receipt::default());
    let mut gathering = Gathering {
        export,
        bucket,
        buckets_log2,
        spill,
        images: HashMap::new(),
        waiting: Vec::new(),
        waiting_bytes: 0,
        entries: Vec::new(),
        hashes: Vec::new(),
        resizer: Resizer::new(),
        receipt,
    };
    let source = &export.sources[task.source];
    for part in task.parts.clone() {
        let mut reader = source.open(part).await?;
        while let Some(read) = reader.next().await? {
            kinds::name(&mut gathering.receipt.kinds, &read.passthrough);
            for row in read.rows {
                gathering.take(row).await?;
            }
        }
    }
    gathering.write_images().await?;
    let Gathering { spill, mut entries, hashes, receipt, .. } = gathering;
    spill.finish()?;
    if export.options.dedup_images.is_some() {
        scratch.put_hashes(number, &hashes)?;
    }
    // A stable sort: within a bucket, pairs keep the order in which they were read.
    entries.sort_by_key(|(bucket, _)| *bucket);
    scratch.finish(number, receipt, &entries)?;
    Ok(scratch.receipt(number)?.expect("it was just written"))
}

impl Gathering<'_> {
    async fn take(&mut self, mut row: Row) -> Result<(), ExportError> {
        let options = &self.export.options;
        self.receipt.counts.read += row.texts;
        let digest = digest_of(&row, self.export.format);
        let excluded_by = self.export.exclusions.of(&row, digest);
        if !excluded_by.is_empty() {
            self.receipt.counts.excluded += row.texts;
            self.receipt.excluded_by.extend(excluded_by);
            return Ok(());
        }
        let judged = row.captions.len();
        row.captions
            .retain(|text| options.min_itm.is_none_or(|least| text.itm.is_none_or(|itm| itm >= least)));
        let below = (judged - row.captions.len()) as u64;
        self.receipt.counts.below_min_itm += below;
        let with_text =
            digest.map_or_else(Vec::new, |digest| usable(std::mem::take(&mut row.captions), digest, options));
        self.receipt.counts.unusable += row.texts - below - with_text.len() as u64;
        let Some(digest) = digest.filter(|_| !with_text.is_empty()) else { return Ok(()) };
        let hash = row.judged.as_ref().and_then(|judged| judged.image_hash);
        let image = match self.place(&row.image, digest, row.size, hash).await? {
            Ok(image) => image,
            Err(why) => {
                self.receipt.counts.bad_images += with_text.len() as u64;
                if self.receipt.left_out.len() < NAMED {
                    self.receipt.left_out.push(LeftOut { file: row.file, row: row.row, why });
                }
                return Ok(());
            }
        };
        kinds::learn(&mut self.receipt.kinds, &row.more);
        self.enter(row, image, with_text);
        Ok(())
    }

    /// Stores an image and returns its position, or the reason why it is rejected.
    async fn place(
        &mut self,
        bytes: &Bytes,
        digest: Digest,
        size: Option<(u32, u32)>,
        hash: Option<u64>,
    ) -> Result<Result<Image, String>, ExportError> {
        if let Some(image) = self.images.get(&digest) {
            return Ok(Ok(*image));
        }
        let (width, height) = match size.map_or_else(|| check::size_of(bytes), Ok) {
            Ok(size) => size,
            Err(why) => return Ok(Err(why.to_string())),
        };
        if self.export.options.dedup_images.is_some() {
            match hash.map_or_else(|| hash::of_image(bytes, &mut self.resizer), Ok) {
                Ok(hash) => self.hashes.push((digest, hash)),
                Err(why) => return Ok(Err(why.to_string())),
            }
        }
        let (kind, length) = (ImageFormat::of(bytes).ok(), bytes.len() as u64);
        let mut image = Image { digest, offset: 0, bytes: length, width, height, kind };
        match self.export.format.images() {
            ImagePlace::Beside => {
                self.waiting.push((format!("{DATA}/{}", image.path()), bytes.clone()));
                self.waiting_bytes += length;
                if self.waiting_bytes >= WAITING_BYTES {
                    self.write_images().await?;
                }
            }
            ImagePlace::Inside => image.offset = self.spill.put(bytes)?,
            ImagePlace::Nowhere => {}
        }
        self.images.insert(digest, image);
        Ok(Ok(image))
    }

    /// Writes the waiting images. An image of another task or source is written again, with the same bytes.
    async fn write_images(&mut self) -> Result<(), ExportError> {
        self.waiting_bytes = 0;
        let (bucket, images) = (self.bucket, std::mem::take(&mut self.waiting));
        let writes =
            stream::iter(images).map(|(path, image)| async move { bucket.write(&path, image).await });
        Ok(writes.buffer_unordered(WRITES_AT_ONCE).try_collect::<()>().await?)
    }

    fn enter(&mut self, row: Row, image: Image, texts: Vec<(Caption, Digest)>) {
        let options = &self.export.options;
        let Row { key, file, row, judged, more, .. } = row;
        let origin = match judged {
            Some(judged) => Origin { file: judged.file, row: judged.row, member: judged.member },
            None => Origin { file, row, member: None },
        };
        let origin = Some(origin).filter(|_| self.export.format == Format::Captions);
        for (i, (text, pair)) in texts.iter().enumerate() {
            let others =
                texts.iter().enumerate().filter(|(other, _)| *other != i && options.per == Per::Text);
            let others = others.map(|(_, (text, _))| text.clone()).collect();
            let placed = if options.per == Per::Image { image.digest } else { *pair };
            let place = options.shuffle.map_or(0, |seed| placed.place(seed));
            let bucket =
                if self.buckets_log2 == 0 { 0 } else { (place >> (64 - self.buckets_log2)) as usize };
            let (key, origin, text, more) = (key.clone(), origin.clone(), text.clone(), more.clone());
            let entry = Entry { place, pair: *pair, image, key, origin, text, others, more };
            self.entries.push((bucket, entry));
        }
    }
}

/// Digest of a row's image; `None` without an image. A format without images takes the digest of the job's
/// ledger, because images outside the job's tables are not read.
fn digest_of(row: &Row, format: Format) -> Option<Digest> {
    let judged = row.judged.as_ref().filter(|_| format.images() == ImagePlace::Nowhere);
    match judged.and_then(|judged| judged.image_sha256) {
        Some(sha256) => Some(Digest::of_image_sha256(sha256)),
        None if row.image.is_empty() => None,
        None => Some(Digest::of_image(&row.image)),
    }
}

/// Usable texts, as they are written, with the names of their pairs.
fn usable(captions: Vec<Caption>, image: Digest, options: &Options) -> Vec<(Caption, Digest)> {
    // Without `--clean-text`, long texts with an equal beginning are different.
    let most = if options.clean_text { MAX_WORDS } else { usize::MAX };
    let texts = captions.into_iter().map(|caption| (pre_caption(&caption.text, most), caption));
    let texts = texts.filter(|(cleaned, _)| !cleaned.trim().is_empty());
    let named = texts.map(|(cleaned, caption)| {
        let pair = Digest::of_pair(image, &cleaned);
        (if options.clean_text { Caption { text: cleaned, ..caption } } else { caption }, pair)
    });
    named.collect()
}
