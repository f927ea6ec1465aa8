//! Pairs as Parquet files in img2dataset's layout, with two columns that only a checker may look at: `truth` and `scene`.

use crate::{
    draw::draw,
    noise::{Kind, text},
    scene::Scene,
};
use arrow::{
    array::{ArrayRef, BinaryArray, Int32Array, RecordBatch, StringArray},
    error::ArrowError,
};
use parquet::{
    arrow::ArrowWriter,
    basic::Compression,
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
};
use rand::{SeedableRng as _, rngs::StdRng};
use rayon::prelude::*;
use std::{collections::BTreeMap, fs::File, path::Path, sync::Arc};

/// Rows of a row group; that many pictures are in memory at once, about 4 kB each.
const GROUP_ROWS: u64 = 2000;
const FILE_ROWS: u64 = 20_000;

/// What is made.
#[derive(Debug, Clone)]
pub struct Order {
    pub scenes: u64,
    /// Texts of each scene, each a row of its own with the same picture.
    pub captions: u64,
    /// Side of the pictures in pixels.
    pub side: usize,
    /// Scenes of different seeds have nothing in common but the world.
    pub seed: u64,
    pub source: Pairs,
}

/// Where the pairs are said to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// People wrote the texts, and all are true.
    Human,
    /// Found on the web: see [`Kind`].
    Web,
}

#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error("cannot write {path}")]
    Io {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error("cannot encode a picture")]
    Jpeg(#[source] std::io::Error),
}

struct Row {
    key: String,
    jpg: Vec<u8>,
    caption: String,
    url: String,
    kind: Kind,
    scene: String,
}

/// Writes an order's files into a folder and counts the texts by kind; `made` hears how many rows there are.
///
/// # Errors
/// When a file cannot be written.
pub fn make(folder: &Path, order: &Order, mut made: impl FnMut(u64)) -> Result<BTreeMap<Kind, u64>, MakeError> {
    let io = |path: &Path| {
        let path = path.display().to_string();
        move |source| MakeError::Io { path, source }
    };
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    let prefix = if order.source == Pairs::Human { "human" } else { "web" };
    let scenes_per_group = (GROUP_ROWS / order.captions.max(1)).max(1);
    let scenes_per_file = (FILE_ROWS / order.captions.max(1)).max(1);
    let mut counts = BTreeMap::new();
    let mut rows_made = 0;
    for (number, first) in (0..order.scenes).step_by(scenes_per_file as usize).enumerate() {
        let path = folder.join(format!("{prefix}-{number:05}.parquet"));
        let file = File::create(&path).map_err(io(&path))?;
        let last = (first + scenes_per_file).min(order.scenes);
        let mut writer: Option<ArrowWriter<File>> = None;
        let mut file = Some(file);
        for start in (first..last).step_by(scenes_per_group as usize) {
            let end = (start + scenes_per_group).min(last);
            let rows: Vec<Vec<Row>> =
                (start..end).into_par_iter().map(|scene| rows_of(scene, order)).collect::<Result<_, _>>()?;
            let rows: Vec<Row> = rows.into_iter().flatten().collect();
            rows.iter().for_each(|row| *counts.entry(row.kind).or_default() += 1);
            let batch = table(&rows, order.side)?;
            if let Some(file) = file.take() {
                writer = Some(ArrowWriter::try_new(file, batch.schema(), Some(properties()))?);
            }
            if let Some(writer) = &mut writer {
                writer.write(&batch)?;
                writer.flush()?;
            }
            rows_made += rows.len() as u64;
            made(rows_made);
        }
        if let Some(writer) = writer {
            writer.close()?;
        }
    }
    Ok(counts)
}

fn properties() -> WriterProperties {
    // JPEG does not get smaller, and nobody looks for one by its first bytes.
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_dictionary_enabled(false)
        .build()
}

/// The rows of one scene. Its random numbers are its own, so scenes can be made in any order.
fn rows_of(number: u64, order: &Order) -> Result<Vec<Row>, MakeError> {
    let mut random = StdRng::seed_from_u64(order.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(number));
    let scene = Scene::any(&mut random);
    let pixels = draw(&scene, order.side, &mut random);
    let jpg = encode(&pixels, order.side).map_err(MakeError::Jpeg)?;
    let said = serde_json::to_string(&scene).unwrap_or_default();
    let row = |caption: u64| {
        let kind = if order.source == Pairs::Human { Kind::True } else { Kind::any(&mut random) };
        Row {
            key: format!("{number:09}{caption:02}"),
            jpg: jpg.clone(),
            caption: text(kind, &scene, &mut random),
            url: format!("https://scenes.example/{}/{number}.jpg", order.seed),
            kind,
            scene: said.clone(),
        }
    };
    Ok((0..order.captions.max(1)).map(row).collect())
}

/// JPEG at a quality that leaves colours and edges alone.
pub fn encode(pixels: &[u8], side: usize) -> std::io::Result<Vec<u8>> {
    let mut compress = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
    compress.set_fastest_defaults();
    compress.set_size(side, side);
    compress.set_quality(92.0);
    compress.set_chroma_sampling_pixel_sizes((1, 1), (1, 1));
    let mut started = compress.start_compress(Vec::new())?;
    started.write_scanlines(pixels)?;
    started.finish()
}

fn table(rows: &[Row], side: usize) -> Result<RecordBatch, ArrowError> {
    let texts = |of: fn(&Row) -> &str| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let sides = || Arc::new(Int32Array::from(vec![side as i32; rows.len()])) as ArrayRef;
    let images = BinaryArray::from_iter_values(rows.iter().map(|row| &row.jpg));
    RecordBatch::try_from_iter([
        ("key", texts(|row| &row.key)),
        ("jpg", Arc::new(images) as ArrayRef),
        ("caption", texts(|row| &row.caption)),
        ("url", texts(|row| &row.url)),
        ("width", sides()),
        ("height", sides()),
        ("status", texts(|_| "success")),
        ("truth", texts(|row| row.kind.name())),
        ("scene", texts(|row| &row.scene)),
    ])
}
