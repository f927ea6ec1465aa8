//! Pictures of sampled rows: from the pairs where they have images, otherwise from the input.

use super::{
    cells::{Cell, Cells},
    input_rows,
    no_picture::NoPicture,
    pairs_tar,
    thumbnail::Thumbnail,
};
use crate::statistics::{CommittedShard, Place};
use bytes::Bytes;
use capfilt_pipeline::{
    image::ImageLimits,
    input::{ImageInput, fetch_named_image},
};
use capfilt_schemas::{
    ledger::LedgerRow,
    plan::InputFormat,
    settings::{Images, Settings},
    status::RowStatus,
};
use capfilt_store::{Location, PinnedObject};
use parquet::errors::ParquetError;
use sha2::{Digest as _, Sha256};

/// Places of a job's images.
pub(super) struct Pictures<'a> {
    bucket: &'a Location,
    settings: &'a Settings,
    /// The input; `None` if its URL can no longer be opened.
    input: Option<Location>,
    limits: ImageLimits,
    bytes_each: usize,
}

/// Where the images of some rows are.
enum Origin {
    Pairs,
    Input,
}

impl<'a> Pictures<'a> {
    pub fn new(bucket: &'a Location, settings: &'a Settings, bytes_each: usize) -> Self {
        let exif_rotation = settings.input.exif_rotation;
        let limits = ImageLimits { exif_rotation, ..ImageLimits::default() }.with(&settings.limits);
        Self { bucket, settings, input: Location::open(&settings.input.url).ok(), limits, bytes_each }
    }

    /// The pictures of rows of one shard, in ascending order. The job may be older than its input, so a
    /// picture that cannot be had is not an error.
    pub async fn of(
        &self,
        shard: &CommittedShard,
        places: &[Place],
        rows: &[LedgerRow],
    ) -> Vec<Result<Thumbnail, NoPicture>> {
        let mut pictures = vec![Err(NoPicture::Missing); places.len()];
        for origin in [Origin::Pairs, Origin::Input] {
            let is_from_pairs = |place: &Place| place.pair.is_some() && self.has_pairs(shard);
            let chosen: Vec<usize> = (0..places.len())
                .filter(|at| is_from_pairs(&places[*at]) == matches!(origin, Origin::Pairs))
                .collect();
            let chosen_places: Vec<Place> = chosen.iter().map(|at| places[*at]).collect();
            let chosen_rows: Vec<&LedgerRow> = chosen.iter().map(|at| &rows[*at]).collect();
            if chosen.is_empty() {
                continue;
            }
            let read = match origin {
                Origin::Pairs => self.of_pairs(shard, &chosen_places, &chosen_rows).await,
                Origin::Input => self.of_input(shard, &chosen_places, &chosen_rows).await,
            };
            for (at, picture) in chosen.into_iter().zip(read) {
                pictures[at] = picture;
            }
        }
        pictures
    }

    /// Whether images are taken from the pairs. A tar has no index, so the images of its rows are taken from
    /// the input, unless the input has only links.
    fn has_pairs(&self, shard: &CommittedShard) -> bool {
        let is_tar = shard.pairs.as_ref().is_some_and(|pairs| pairs.is_tar());
        self.settings.output.images == Images::Embed && (!is_tar || self.settings.links.fetch)
    }

    async fn of_pairs(
        &self,
        shard: &CommittedShard,
        places: &[Place],
        rows: &[&LedgerRow],
    ) -> Vec<Result<Thumbnail, NoPicture>> {
        let Some(pairs) = &shard.pairs else { return vec![Err(NoPicture::Missing); rows.len()] };
        if pairs.is_tar() {
            let read = pairs_tar::at(self.bucket, pairs, places).await;
            return self.thumbnails(read.unwrap_or_else(|_| unreadable(rows)), rows).await;
        }
        let object = PinnedObject::of_output(self.bucket, pairs);
        let numbers = places.iter().filter_map(|place| place.pair);
        let cells = Cells::open(object, "image", numbers).await;
        self.of_cells(cells, rows, self.bucket).await
    }

    async fn of_input(
        &self,
        shard: &CommittedShard,
        places: &[Place],
        rows: &[&LedgerRow],
    ) -> Vec<Result<Thumbnail, NoPicture>> {
        let Some(input) = &self.input else { return vec![Err(NoPicture::Unreadable); rows.len()] };
        if self.settings.links.fetch {
            return vec![Err(NoPicture::Link); rows.len()];
        }
        let file = &shard.shard.file;
        if InputFormat::of(&file.path) != InputFormat::Parquet {
            let read = input_rows::at(input, shard, self.settings, places).await;
            return self.thumbnails(read.unwrap_or_else(|_| unreadable(rows)), rows).await;
        }
        let numbers = places.iter().map(|place| place.row);
        let cells = Cells::open(PinnedObject::new(input, file), &self.settings.input.image, numbers).await;
        self.of_cells(cells, rows, &input.around(&file.path)).await
    }

    /// Thumbnails of cells, one after the other, so that one image is in memory.
    async fn of_cells(
        &self,
        cells: Result<Cells, ParquetError>,
        rows: &[&LedgerRow],
        around: &Location,
    ) -> Vec<Result<Thumbnail, NoPicture>> {
        let Ok(mut cells) = cells else { return vec![Err(NoPicture::Unreadable); rows.len()] };
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let image = match cells.next().await {
                Err(_) => Err(NoPicture::Unreadable),
                Ok(Cell::Nothing) => Err(NoPicture::Missing),
                Ok(Cell::Bytes(bytes)) => Ok(bytes),
                Ok(Cell::Path(path)) => self.named(path, around).await,
            };
            found.push(self.thumbnail(image, row).await);
        }
        found
    }

    async fn named(&self, path: String, around: &Location) -> Result<Bytes, NoPicture> {
        let read = fetch_named_image(path, around, self.limits.bytes).await;
        match read.map_err(|_| NoPicture::Unreadable)? {
            ImageInput::Bytes { bytes, .. } => Ok(bytes),
            ImageInput::Missing => Err(NoPicture::Missing),
            _ => Err(NoPicture::Unreadable),
        }
    }

    async fn thumbnails(
        &self,
        images: Vec<Result<Bytes, NoPicture>>,
        rows: &[&LedgerRow],
    ) -> Vec<Result<Thumbnail, NoPicture>> {
        let mut found = Vec::with_capacity(rows.len());
        for (image, row) in images.into_iter().zip(rows) {
            found.push(self.thumbnail(image, row).await);
        }
        found
    }

    /// The thumbnail of the image that the job judged. A row that ended a worker process is not decoded.
    async fn thumbnail(
        &self,
        image: Result<Bytes, NoPicture>,
        row: &LedgerRow,
    ) -> Result<Thumbnail, NoPicture> {
        if row.status == RowStatus::Crashed {
            return Err(NoPicture::Crashed);
        }
        let image = image?;
        if row.image_sha256.is_some_and(|judged| judged != <[u8; 32]>::from(Sha256::digest(&image))) {
            return Err(NoPicture::Changed);
        }
        let (limits, bytes_each) = (self.limits, self.bytes_each);
        let made = tokio::task::spawn_blocking(move || Thumbnail::of(&image, &limits, bytes_each)).await;
        made.ok().and_then(Result::ok).ok_or(NoPicture::Undecodable)
    }
}

fn unreadable(rows: &[&LedgerRow]) -> Vec<Result<Bytes, NoPicture>> {
    vec![Err(NoPicture::Unreadable); rows.len()]
}
