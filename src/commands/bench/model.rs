//! `capfilt bench model`: speed of captioning and judging on a device, without reading, decoding and writing.

use super::{floors::Floors, median};
use crate::{args::BenchModelArgs, commands::image_file};
use anyhow::Context as _;
use capfilt_blip::{
    BlipCaptioner, BlipFilter, GenerationOptions, LoadOptions,
    config::MedConfig,
    cost_model::{Cost, CostModel},
};
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Failure, outln};
use capfilt_pipeline::{
    capfilt::{CapFilt, Rule},
    input::{ImageInput, Sample, TextInput},
    model::{Caption, Captioner, Filter, ModelError, PixelBatch, SampleKey, TextScore, TokenLogProb},
    prepare::{Prepared, PreparedImage, WebText},
    text::pre_caption,
};
use capfilt_runtime::devices;
use capfilt_schemas::settings::{self, Method, Precision, Preset};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Sums of seconds and tokens that the wrappers around the models add up.
#[derive(Debug, Default)]
struct Spent {
    caption: Duration,
    score: Duration,
    tokens: usize,
}

struct TimedCaptioner(BlipCaptioner, Arc<Mutex<Spent>>);
struct TimedFilter(BlipFilter, Arc<Mutex<Spent>>);

impl Captioner for TimedCaptioner {
    fn image_side(&self) -> usize {
        self.0.image_side()
    }

    fn caption(
        &mut self,
        images: &PixelBatch,
        keys: &[SampleKey],
        n: usize,
    ) -> Result<Vec<Vec<Caption>>, ModelError> {
        let from = Instant::now();
        let captions = self.0.caption(images, keys, n)?;
        let mut spent = self.1.lock().expect("no thread panics while it holds the lock");
        spent.caption += from.elapsed();
        spent.tokens += captions.iter().flatten().map(|caption| caption.ids.len()).sum::<usize>();
        Ok(captions)
    }

    fn log_probs(
        &mut self,
        images: &PixelBatch,
        captions: &[Vec<i64>],
    ) -> Result<Vec<Vec<TokenLogProb>>, ModelError> {
        self.0.log_probs(images, captions)
    }
}

impl Filter for TimedFilter {
    fn image_side(&self) -> usize {
        self.0.image_side()
    }

    fn score(
        &mut self,
        images: &PixelBatch,
        texts: &[Vec<String>],
    ) -> Result<Vec<Vec<TextScore>>, ModelError> {
        let from = Instant::now();
        let scores = self.0.score(images, texts)?;
        self.1.lock().expect("no thread panics while it holds the lock").score += from.elapsed();
        Ok(scores)
    }
}

pub fn run(args: &BenchModelArgs) -> Ending {
    let threads = args.threads.unwrap_or_else(devices::cores);
    capfilt_blip::set_threads(threads);
    let options = LoadOptions {
        device: args.device,
        precision: args.precision,
        ..LoadOptions::preset(Preset::Original)
    };
    let generation =
        GenerationOptions { min_length: args.min_length, ..options.options.generation(Method::Nucleus) };
    let captioner = BlipCaptioner::load(&args.captioner, &options, generation).or_environment_error()?;
    let filter = BlipFilter::load(&args.filter, &options).or_environment_error()?;
    let (precision, rows) = (captioner.images().precision, rows(args, &captioner, &filter)?);
    let vit = vit_seconds(args, &captioner, &rows)? / rows.len() as f64;
    let costs = Works::new(args.batch, &captioner, &filter);
    let floors = Floors::measure(captioner.images().device, precision).or_environment_error()?;
    let given_tokens = given_tokens(&filter, &rows)?;

    let spent = Arc::new(Mutex::new(Spent::default()));
    let rule = Rule::new(&settings::Filter::default(), 1, 0);
    let models = (
        Box::new(TimedCaptioner(captioner, Arc::clone(&spent))),
        Box::new(TimedFilter(filter, Arc::clone(&spent))),
    );
    let mut capfilt = CapFilt::new(models.0, models.1, rule, args.batch);
    capfilt.judge("warm-up", &rows[..rows.len().min(args.batch)]).or_environment_error()?;
    *spent.lock().expect("no thread panics while it holds the lock") = Spent::default();
    let mut repeats = Vec::new();
    for _ in 0..args.repeats {
        let from = Instant::now();
        capfilt.judge("bench", &rows).or_environment_error()?;
        repeats.push(from.elapsed().as_secs_f64() / rows.len() as f64);
    }
    let judged = (rows.len() * repeats.len()) as f64;
    let spent = spent.lock().expect("no thread panics while it holds the lock");
    let ids = spent.tokens as f64 / judged;
    let (caption, score) = (spent.caption.as_secs_f64() / judged, spent.score.as_secs_f64() / judged);
    let parts = [
        ("one_vit", costs.vision, vit),
        ("caption", costs.caption(ids), caption),
        ("score", costs.score(given_tokens + ids), score),
    ];
    let all = costs.caption(ids) + costs.score(given_tokens + ids);
    let part = |(cost, seconds): (Cost, f64)| {
        let (products, bytes) = floors.seconds(cost);
        json!({
            "flop": cost.flop, "bytes": cost.bytes, "floor_by_flop_s": products, "floor_by_bytes_s": bytes,
            "s": seconds, "share": floors.share(cost, seconds),
        })
    };
    let budget: serde_json::Map<String, serde_json::Value> =
        parts.iter().map(|(name, cost, seconds)| ((*name).to_owned(), part((*cost, *seconds)))).collect();
    let result = json!({
        "what": "capfilt", "precision": precision.name(), "device": args.device.to_string(),
        "threads": threads, "batch": capfilt.batch(), "images": rows.len(),
        "s_per_image": median(&repeats), "repeats": repeats,
        "stages_s_per_image": { "caption": caption, "score": score, "one_vit": vit },
        "ids_per_caption": ids, "budget": budget, "all": part((all, median(&repeats))),
        "device_flop_per_second": floors.flop_per_second, "device_bytes_per_second": floors.bytes_per_second,
    });
    if args.json {
        outln!("{result}");
    } else {
        outln!(
            "{:.4} s per image ({} images, batch {}, {})",
            median(&repeats),
            rows.len(),
            args.batch,
            precision.name()
        );
        let (gflop, gigabytes) = (floors.flop_per_second / 1e9, floors.bytes_per_second / 1e9);
        outln!("peak: {gflop:.0} GFLOP/s in a matrix product of 2048³, {gigabytes:.1} GB/s in a copy");
        outln!(
            "{:24} {:>8} {:>8} {:>9} {:>9} {:>7}",
            "cost of one image",
            "GFLOP",
            "GB",
            "floor, s",
            "s",
            "share"
        );
        let whole = ("captioner and filter", all, median(&repeats));
        let named = ["  one image encoder", "  captioner, all of it", "  filter, all of it"];
        let parts = named.into_iter().zip(parts).map(|(name, (_, cost, seconds))| (name, cost, seconds));
        for (name, cost, seconds) in std::iter::once(whole).chain(parts) {
            let (products, bytes) = floors.seconds(cost);
            let share = 100.0 * floors.share(cost, seconds);
            let (gflop, gigabytes, floor) = (cost.flop / 1e9, cost.bytes / 1e9, products.max(bytes));
            outln!("{name:24} {gflop:8.1} {gigabytes:8.3} {floor:9.4} {seconds:9.4} {share:5.1} %");
        }
    }
    Ok(Exit::Done)
}

/// Cost of the models per image.
struct Works {
    running: CostModel,
    vision: Cost,
    captioner: MedConfig,
    filter: MedConfig,
    prompt: f64,
}

impl Works {
    fn new(batch: usize, captioner: &BlipCaptioner, filter: &BlipFilter) -> Self {
        let number = if captioner.images().precision.setting() == Precision::F32 { 4.0 } else { 2.0 };
        let running = CostModel { batch: batch as f64, number };
        // `BlipCaptioner::load` refuses a prompt that cannot be tokenized.
        let prompt =
            captioner.tokens().prompt(&captioner.generation().prompt).map_or(1, |ids| ids.len()) as f64;
        let (captioner, filter) = (captioner.config().clone(), filter.config().clone());
        Self { running, vision: running.vision(&captioner.vision), captioner, filter, prompt }
    }

    /// Cost of a caption of `ids` tokens, including the prompt, which takes one pass; no pass reads the last
    /// token.
    fn caption(&self, ids: f64) -> Cost {
        let words = (ids - self.prompt).max(1.0);
        let config = &self.captioner.text;
        let text = self.running.text(config, ids - 1.0, words, Some(seen(&self.captioner)));
        self.vision + text + self.running.words(config, words)
    }

    /// Cost of judging texts of `tokens` tokens in total, once with the image and once without.
    fn score(&self, tokens: f64) -> Cost {
        let config = &self.filter.text;
        let vision = self.running.vision(&self.filter.vision);
        let with_image = self.running.text(config, tokens, 1.0, Some(seen(&self.filter)));
        vision + with_image + self.running.text(config, tokens, 1.0, None)
    }
}

/// Number and width of the image states.
fn seen(config: &MedConfig) -> (f64, f64) {
    let patches = config.vision.grid(config.vision.image_size).pow(2);
    ((patches + 1) as f64, config.vision.hidden_size as f64)
}

/// Mean number of tokens of a row's web text and negative control.
fn given_tokens(filter: &BlipFilter, rows: &[Prepared]) -> Result<f64, Failure> {
    let most = filter.config().text.max_position_embeddings as usize;
    let mut tokens = 0;
    for row in rows {
        let web = if let WebText::Judgeable { cleaned } = &row.web { Some(cleaned) } else { None };
        for text in web.into_iter().chain(&row.sample.control) {
            tokens += filter.tokens().encode(text, most).map_err(anyhow::Error::msg).or_usage_error()?.len();
        }
    }
    Ok(tokens as f64 / rows.len() as f64)
}

/// Seconds of the captioner's image encoder for all images; the filter's encoder has the same size.
fn vit_seconds(args: &BenchModelArgs, captioner: &BlipCaptioner, rows: &[Prepared]) -> Result<f64, Failure> {
    let side = captioner.image_side();
    let pixels = |rows: &[Prepared]| {
        let mut batch = PixelBatch::with_capacity(side, rows.len());
        rows.iter().flat_map(|row| &row.image).for_each(|image| batch.push(&image.captioner_u8));
        batch
    };
    let batches: Vec<PixelBatch> = rows.chunks(args.batch).map(pixels).collect();
    let seconds = |batches: &[PixelBatch]| {
        let from = Instant::now();
        batches.iter().try_for_each(|batch| captioner.encode(batch))?;
        Ok::<f64, ModelError>(from.elapsed().as_secs_f64())
    };
    seconds(&batches[..1]).or_environment_error()?;
    let all: Result<Vec<f64>, ModelError> = (0..args.repeats).map(|_| seconds(&batches)).collect();
    all.map(|all| median(&all)).or_environment_error()
}

/// Makes one row per text, as a worker process passes rows to the models.
fn rows(
    args: &BenchModelArgs,
    captioner: &BlipCaptioner,
    filter: &BlipFilter,
) -> Result<Vec<Prepared>, Failure> {
    let texts = std::fs::read_to_string(&args.texts);
    let texts =
        texts.with_context(|| format!("cannot read the texts {}", args.texts.display())).or_usage_error()?;
    let texts: Vec<&str> = texts.lines().filter(|line| !line.trim().is_empty()).collect();
    let files = image_file::list(&args.images).or_usage_error()?;
    if texts.is_empty() || files.is_empty() {
        return Err(anyhow::anyhow!("{} or {} is empty", args.texts.display(), args.images.display()))
            .or_usage_error();
    }
    let images = files.iter().map(|file| {
        let (bytes, for_captioner) = image_file::read(file, captioner.image_side())?;
        let (_, for_filter) = image_file::read(file, filter.image_side())?;
        Ok((bytes, for_captioner, for_filter))
    });
    let images = images.collect::<Result<Vec<_>, Failure>>()?;
    let clean = |text: &str| pre_caption(text, settings::Filter::default().max_words as usize);
    // With fewer images than texts, images are used again: the values of pixels do not affect the speed.
    let row = |(i, text): (usize, &&str)| {
        let (bytes, for_captioner, for_filter) = &images[i % images.len()];
        let image = PreparedImage {
            width: for_captioner.side() as u32,
            height: for_captioner.side() as u32,
            captioner_u8: for_captioner.pixels_u8().to_vec().into(),
            filter_u8: for_filter.pixels_u8().to_vec().into(),
        };
        let sample = Sample {
            row: i as u64,
            key: None,
            image: ImageInput::Missing,
            text: TextInput::Text((*text).to_owned()),
            selected: true,
            control: args.control.then(|| clean(texts[(i + 1) % texts.len()])),
            note: None,
        };
        // A separate seed per row, so that the captions of a reused image differ.
        let digest = capfilt_schemas::hash::sha256(&[bytes.as_slice(), &i.to_le_bytes()].concat());
        let web = WebText::Judgeable { cleaned: clean(text) };
        Prepared { sample, image_sha256: Some(digest), image: Ok(image), web }
    };
    Ok(texts.iter().enumerate().map(row).collect())
}
