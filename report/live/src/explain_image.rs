//! The image of a row, for `capfilt explain` in a terminal that shows pictures.

use crate::explain::Explained;
use bytes::Bytes;
use capfilt_pipeline::{
    cleaned::{CleanedReader, Referenced, ShardTables, Wanted, image_in_input, is_judged},
    frames::still,
    image::{ImageLimits, RgbImage, decode, shrink},
    input::ImageInput,
};
use capfilt_schemas::{
    object_keys::Table,
    settings::{Images, Settings},
};
use capfilt_store::Location;
use std::sync::Arc;

/// Largest picture in pixels; as sixels it takes about half a megabyte.
const MOST: (u32, u32) = (480, 320);

/// The image of a row, reduced for people.
///
/// # Errors
/// The reason why the image cannot be had; it may have any characters.
pub async fn small_image(row: &Explained, bucket: &Location) -> Result<RgbImage, String> {
    let (bytes, settings) = (bytes(row, bucket).await?, &row.job.settings);
    let limits = ImageLimits { exif_rotation: settings.input.exif_rotation, ..ImageLimits::default() };
    let decoded = decode(&bytes, &limits.with(&settings.limits));
    let decoded =
        decoded.map_err(|_| "the image cannot be decoded within the limits of the job".to_owned())?;
    Ok(shrink(&decoded, MOST.0, MOST.1))
}

/// Bytes of the judged image: from the pairs of a kept row, else from the input.
async fn bytes(explained: &Explained, bucket: &Location) -> Result<Bytes, String> {
    let settings = &explained.job.settings;
    if explained.row.keeps_a_text() && settings.output.images == Images::Embed {
        return of_pairs(explained, bucket).await;
    }
    if settings.links.fetch {
        return Err("the image is a link, and only pairs have its bytes".to_owned());
    }
    of_input(explained, settings).await
}

async fn of_pairs(explained: &Explained, bucket: &Location) -> Result<Bytes, String> {
    let output = |table| explained.commit.outputs.iter().find(|output| output.table == table).cloned();
    let (Some(pairs), Some(ledger)) = (output(Table::Pairs), output(Table::Ledger)) else {
        return Err("the shard has no pairs".to_owned());
    };
    let tables = ShardTables { shard: explained.shard.clone(), pairs, ledger, cut: None };
    let wanted = Wanted { referenced: None, cosines: true };
    let fails = |error: capfilt_pipeline::input::ReadError| format!("the pairs cannot be read: {error}");
    let mut reader = CleanedReader::open(bucket, &tables, &wanted).await.map_err(fails)?;
    while let Some(rows) = reader.next().await.map_err(fails)? {
        for row in rows.rows {
            if row
                .judged
                .is_some_and(|judged| (&judged.file, judged.row) == (&explained.row.file, explained.row.row))
            {
                return Ok(row.image);
            }
        }
    }
    Err("the pairs have no row of this address".to_owned())
}

async fn of_input(explained: &Explained, settings: &Settings) -> Result<Bytes, String> {
    let input = Location::open(&settings.input.url).map_err(|error| error.to_string())?;
    let (column, image_bytes) = (settings.input.image.clone(), settings.limits.image_bytes.0);
    let of = Arc::new(Referenced { input, column, image_bytes, passthrough: Vec::new() });
    let read = image_in_input(of, &explained.shard, explained.row.row).await;
    let bytes = match read.map_err(|error| format!("the input cannot be read: {error}"))? {
        ImageInput::Bytes { bytes, .. } => bytes,
        ImageInput::Link(_) => return Err("the image is a link".to_owned()),
        _ => return Err(format!("the input has no bytes of it ({})", explained.row.status.as_str())),
    };
    match explained.row.image_sha256.is_none() || is_judged(&bytes, &explained.row) {
        true => Ok(still(bytes)),
        false => Err("the image of the input is not the judged one".to_owned()),
    }
}
