//! From pairs to files of a size, and into the bucket.

use super::{
    Pair, lists, parquet,
    run::ExportError,
    seen::{Name, Seen},
    webdataset,
};
use bytes::Bytes;
use capfilt_bucket::Bucket;
use capfilt_schemas::{
    export::{File, Format},
    hash::sha256_hex,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// Images that are written at the same time, beside lists.
const WRITES_AT_ONCE: usize = 16;

/// Pairs of a list. Memory: about 200 bytes each, and as much again while the list is written; BLIP reads lists whole too.
const PAIRS_OF_A_LIST: usize = 1_000_000;

/// Images of a list that wait to be written together.
const WAITING_BYTES: u64 = 64 << 20;

/// Gathers pairs and writes a file when there are enough.
pub(crate) struct Sink<'a> {
    bucket: &'a Bucket,
    format: Format,
    /// Bytes of images of a file; the last pair may lead beyond.
    file_bytes: u64,
    waiting: Vec<Pair>,
    /// Images beside a list, with their paths, and how many there were.
    waiting_images: Vec<(String, Bytes)>,
    images: u64,
    waiting_bytes: u64,
    /// Lines of the list in the making.
    list: Vec<String>,
    files: Vec<File>,
    pairs: u64,
}

impl<'a> Sink<'a> {
    pub fn new(bucket: &'a Bucket, format: Format, file_bytes: u64) -> Self {
        let (waiting, waiting_images, list, files) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { bucket, format, file_bytes, waiting, waiting_images, images: 0, waiting_bytes: 0, list, files, pairs: 0 }
    }

    /// Takes a pair that was not there before.
    pub async fn add(&mut self, pair: Pair, image: &Name, seen: &mut Seen) -> Result<(), ExportError> {
        let bytes = pair.image.len() as u64;
        match self.format {
            Format::Parquet | Format::Webdataset => {
                self.waiting_bytes += bytes;
                self.waiting.push(pair);
            }
            Format::Json => {
                let path = lists::image_path(&pair, image);
                self.list.push(lists::line(&pair, &path));
                if seen.is_new_image(image) {
                    self.images += 1;
                    self.waiting_bytes += bytes;
                    self.waiting_images.push((path, pair.image));
                }
            }
        }
        if self.is_full() { self.write().await } else { Ok(()) }
    }

    fn is_full(&self) -> bool {
        match self.format {
            Format::Json => self.waiting_bytes >= WAITING_BYTES || self.list.len() >= PAIRS_OF_A_LIST,
            Format::Parquet | Format::Webdataset => self.waiting_bytes >= self.file_bytes,
        }
    }

    /// Writes what is left: files, and images beside lists.
    pub async fn finish(mut self) -> Result<(Vec<File>, u64), ExportError> {
        if !self.waiting.is_empty() || !self.waiting_images.is_empty() {
            self.write().await?;
        }
        if !self.list.is_empty() {
            self.write_list().await?;
        }
        Ok((self.files, self.images))
    }

    async fn write(&mut self) -> Result<(), ExportError> {
        let pairs = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        match self.format {
            Format::Parquet => self.put("parquet", pairs.len(), parquet::file(&pairs)?).await,
            Format::Webdataset => self.put("tar", pairs.len(), webdataset::file(&pairs, self.pairs)?).await,
            Format::Json => {
                let (bucket, images) = (self.bucket, std::mem::take(&mut self.waiting_images));
                let writes = stream::iter(images).map(|(path, image)| async move { bucket.write(&path, image).await });
                writes.buffer_unordered(WRITES_AT_ONCE).try_collect::<()>().await?;
                if self.list.len() >= PAIRS_OF_A_LIST { self.write_list().await } else { Ok(()) }
            }
        }
    }

    async fn write_list(&mut self) -> Result<(), ExportError> {
        let lines = std::mem::take(&mut self.list);
        self.put("json", lines.len(), lists::file(&lines)).await
    }

    async fn put(&mut self, ending: &str, pairs: usize, bytes: Vec<u8>) -> Result<(), ExportError> {
        let path = format!("pairs-{:05}.{ending}", self.files.len());
        let (pairs, size, sha256) = (pairs as u64, bytes.len() as u64, sha256_hex(&bytes));
        self.bucket.write(&path, Bytes::from(bytes)).await?;
        self.files.push(File { path, pairs, bytes: size, sha256 });
        self.pairs += pairs;
        Ok(())
    }
}
