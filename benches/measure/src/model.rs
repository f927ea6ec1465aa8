//! Speed of captioning and judging on a device, without reading, decoding and writing.

use crate::{
    costs::Costs,
    error::MeasureError,
    floors::Floors,
    median::median,
    rows::{given_tokens, rows},
    timed_models::{SharedSpent, TimedCaptioner, TimedFilter},
    trial::ModelTrial,
};
use capfilt_blip::{
    BlipCaptioner, BlipFilter, DeviceChoice, DevicePrecision, GenerationOptions, LoadOptions,
    cost_model::Cost,
};
use capfilt_pipeline::{
    capfilt::{CapFilt, Rule},
    model::{CaptionSource, Captioner as _, ModelError, PixelBatch},
    prepare::Prepared,
};
use capfilt_schemas::settings::{Method, Preset};
use serde_json::json;
use std::{fmt, time::Instant};

/// Seconds of a part of the work on one image, compared with the least that the device needs.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// FLOP and bytes.
    pub cost: Cost,
    /// Least seconds by the FLOP.
    pub floor_by_flop: f64,
    /// Least seconds by the bytes.
    pub floor_by_bytes: f64,
    /// Measured seconds.
    pub seconds: f64,
    /// Share of the device's peak rate that the work reached.
    pub share: f64,
}

impl Part {
    fn new(floors: &Floors, cost: Cost, seconds: f64) -> Self {
        let (floor_by_flop, floor_by_bytes) = floors.seconds(cost);
        Self { cost, floor_by_flop, floor_by_bytes, seconds, share: floors.share(cost, seconds) }
    }

    fn to_json(self) -> serde_json::Value {
        json!({
            "flop": self.cost.flop, "bytes": self.cost.bytes, "floor_by_flop_s": self.floor_by_flop,
            "floor_by_bytes_s": self.floor_by_bytes, "s": self.seconds, "share": self.share,
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gflop, gigabytes, share) = (self.cost.flop / 1e9, self.cost.bytes / 1e9, 100.0 * self.share);
        let (floor, seconds) = (self.floor_by_flop.max(self.floor_by_bytes), self.seconds);
        write!(out, "{gflop:8.1} {gigabytes:8.3} {floor:9.4} {seconds:9.4} {share:5.1} %")
    }
}

/// Speed of both models.
#[derive(Debug, Clone)]
pub struct ModelSpeed {
    /// Precision in which the models computed.
    pub precision: DevicePrecision,
    /// Device as requested.
    pub device: DeviceChoice,
    /// Threads of libtorch.
    pub threads: usize,
    /// Images per model call at the end: fewer than requested if the device's memory was exhausted.
    pub batch: usize,
    /// Number of rows.
    pub images: usize,
    /// Seconds per image of each repeat.
    pub repeats: Vec<f64>,
    /// Mean number of token ids of a caption.
    pub ids_per_caption: f64,
    /// Peak rates of the device.
    pub floors: Floors,
    /// Captioner and filter.
    pub whole: Part,
    /// Image encoder of the captioner.
    pub encoder: Part,
    /// Captioner, with its image encoder.
    pub caption: Part,
    /// Filter, with its image encoder.
    pub score: Part,
}

impl ModelSpeed {
    /// The result as one JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        let Self { encoder, caption, score, floors, .. } = self;
        json!({
            "what": "capfilt", "precision": self.precision.name(), "device": self.device.to_string(),
            "threads": self.threads, "batch": self.batch, "images": self.images,
            "s_per_image": self.whole.seconds, "repeats": self.repeats,
            "stages_s_per_image": {
                "caption": caption.seconds, "score": score.seconds, "one_vit": encoder.seconds,
            },
            "ids_per_caption": self.ids_per_caption,
            "budget": {
                "one_vit": encoder.to_json(), "caption": caption.to_json(), "score": score.to_json(),
            },
            "all": self.whole.to_json(),
            "device_flop_per_second": floors.flop_per_second,
            "device_bytes_per_second": floors.bytes_per_second,
        })
    }
}

/// A table of the costs, for people.
impl fmt::Display for ModelSpeed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { whole, images, batch, floors, precision, .. } = self;
        let (seconds, precision) = (whole.seconds, precision.name());
        writeln!(out, "{seconds:.4} s per image ({images} images, batch {batch}, {precision})")?;
        let (gflop, gigabytes) = (floors.flop_per_second / 1e9, floors.bytes_per_second / 1e9);
        writeln!(
            out,
            "peak: {gflop:.0} GFLOP/s in a matrix product of 2048³, {gigabytes:.1} GB/s in a copy"
        )?;
        let [flop, bytes, floor, seconds, share] = ["GFLOP", "GB", "floor, s", "s", "share"];
        write!(out, "{:24} {flop:>8} {bytes:>8} {floor:>9} {seconds:>9} {share:>7}", "cost of one image")?;
        let parts = [
            ("captioner and filter", whole),
            ("  one image encoder", &self.encoder),
            ("  captioner, all of it", &self.caption),
            ("  filter, all of it", &self.score),
        ];
        parts.iter().try_for_each(|(name, part)| write!(out, "\n{name:24} {part}"))
    }
}

/// Loads both models and measures them.
///
/// # Errors
/// Images or texts that cannot be read, models that do not load, and a failing device.
pub fn model_speed(trial: &ModelTrial) -> Result<ModelSpeed, MeasureError> {
    capfilt_blip::set_threads(trial.threads());
    let (captioner, filter) = load(trial)?;
    let (precision, rows) = (captioner.images().precision, rows(trial, &captioner, &filter)?);
    let encoding = encoder_seconds(trial, &captioner, &rows)? / rows.len() as f64;
    let costs = Costs::new(trial.batch, &captioner, &filter);
    let floors = Floors::measure(captioner.images().device, precision)?;
    let given_tokens = given_tokens(&filter, &rows)?;
    let judged = judge(trial, captioner, filter, &rows)?;
    let ids = judged.ids_per_caption;
    let (caption, score) = (costs.caption(ids), costs.score(given_tokens + ids));
    Ok(ModelSpeed {
        precision,
        device: trial.device,
        threads: trial.threads(),
        batch: judged.batch,
        images: rows.len(),
        ids_per_caption: ids,
        floors,
        whole: Part::new(&floors, caption + score, median(&judged.repeats)),
        encoder: Part::new(&floors, costs.vision, encoding),
        caption: Part::new(&floors, caption, judged.caption),
        score: Part::new(&floors, score, judged.score),
        repeats: judged.repeats,
    })
}

fn load(trial: &ModelTrial) -> Result<(BlipCaptioner, BlipFilter), MeasureError> {
    let options = LoadOptions {
        device: trial.device,
        precision: trial.precision,
        ..LoadOptions::preset(Preset::Original)
    };
    let generation =
        GenerationOptions { min_length: trial.min_length, ..options.options.generation(Method::Nucleus) };
    let captioner = BlipCaptioner::load(&trial.captioner, &options, generation)?;
    Ok((captioner, BlipFilter::load(&trial.filter, &options)?))
}

/// Seconds of the captioner's image encoder for all images; the filter's encoder has the same size.
fn encoder_seconds(
    trial: &ModelTrial,
    captioner: &BlipCaptioner,
    rows: &[Prepared],
) -> Result<f64, ModelError> {
    let side = captioner.image_side();
    let pixels = |rows: &[Prepared]| {
        let mut batch = PixelBatch::with_capacity(side, rows.len());
        rows.iter().flat_map(|row| &row.image).for_each(|image| batch.push(&image.captioner_u8));
        batch
    };
    let batches: Vec<PixelBatch> = rows.chunks(trial.batch).map(pixels).collect();
    let seconds = |batches: &[PixelBatch]| {
        let from = Instant::now();
        batches.iter().try_for_each(|batch| captioner.encode(batch))?;
        Ok::<f64, ModelError>(from.elapsed().as_secs_f64())
    };
    seconds(&batches[..1])?;
    let all: Result<Vec<f64>, ModelError> = (0..trial.repeats).map(|_| seconds(&batches)).collect();
    all.map(|all| median(&all))
}

/// Means per image of all repeats.
struct Judged {
    batch: usize,
    /// Seconds per image of each repeat.
    repeats: Vec<f64>,
    caption: f64,
    score: f64,
    ids_per_caption: f64,
}

/// Judges all rows, once per repeat, after a batch as warm-up.
fn judge(
    trial: &ModelTrial,
    captioner: BlipCaptioner,
    filter: BlipFilter,
    rows: &[Prepared],
) -> Result<Judged, ModelError> {
    let spent = SharedSpent::default();
    let captioner = CaptionSource::Model(Box::new(TimedCaptioner(captioner, spent.clone())));
    let filter = Box::new(TimedFilter(filter, spent.clone()));
    let mut capfilt = CapFilt::new(captioner, filter, Rule::default(), trial.batch);
    capfilt.judge("warm-up", &rows[..rows.len().min(trial.batch)])?;
    spent.take();
    let mut repeats = Vec::new();
    for _ in 0..trial.repeats {
        let from = Instant::now();
        capfilt.judge("bench", rows)?;
        repeats.push(from.elapsed().as_secs_f64() / rows.len() as f64);
    }
    let (spent, judged) = (spent.take(), (rows.len() * repeats.len()) as f64);
    Ok(Judged {
        batch: capfilt.batch(),
        repeats,
        caption: spent.caption.as_secs_f64() / judged,
        score: spent.score.as_secs_f64() / judged,
        ids_per_caption: spent.tokens as f64 / judged,
    })
}
