//! `capfilt bench`: how fast this machine's device captions and judges, without reading, decoding or writing.

use super::image_file;
use crate::{
    args::BenchArgs,
    exit::{Blame as _, Ending, Exit, Failure},
    machine,
    models::model_failed,
};
use anyhow::Context as _;
use capfilt_med::{BlipCaptioner, BlipFilter, GenerationOptions, LoadOptions, Method, Preset};
use capfilt_pipeline::{
    capfilt::{CapFilt, Rule},
    input::{ImageInput, Sample, TextInput},
    model::{Caption, Captioner, Filter, ModelError, PixelBatch, SampleKey, TextScore, WordOdds},
    prepare::{Prepared, PreparedImage, WebText},
    text::pre_caption,
};
use capfilt_schemas::settings;
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Seconds and tokens, added up by the wrappers around the models.
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

    fn caption(&mut self, images: &PixelBatch, keys: &[SampleKey], n: usize) -> Result<Vec<Vec<Caption>>, ModelError> {
        let from = Instant::now();
        let captions = self.0.caption(images, keys, n)?;
        let mut spent = self.1.lock().expect("nothing panics while it counts");
        spent.caption += from.elapsed();
        spent.tokens += captions.iter().flatten().map(|caption| caption.ids.len()).sum::<usize>();
        Ok(captions)
    }

    fn odds(&mut self, images: &PixelBatch, captions: &[Vec<i64>]) -> Result<Vec<Vec<WordOdds>>, ModelError> {
        self.0.odds(images, captions)
    }
}

impl Filter for TimedFilter {
    fn image_side(&self) -> usize {
        self.0.image_side()
    }

    fn score(&mut self, images: &PixelBatch, texts: &[Vec<String>]) -> Result<Vec<Vec<TextScore>>, ModelError> {
        let from = Instant::now();
        let scores = self.0.score(images, texts)?;
        self.1.lock().expect("nothing panics while it counts").score += from.elapsed();
        Ok(scores)
    }
}

pub fn run(args: &BenchArgs) -> Ending {
    let threads = args.threads.unwrap_or_else(machine::cores);
    capfilt_med::set_threads(threads);
    let options =
        LoadOptions { device: args.device, precision: args.precision, ..LoadOptions::preset(Preset::Original) };
    let generation = GenerationOptions { min_length: args.min_length, ..options.options.generation(Method::Nucleus) };
    let captioner = BlipCaptioner::load(&args.captioner, &options, generation).environment()?;
    let filter = BlipFilter::load(&args.filter, &options).environment()?;
    let (precision, rows) = (captioner.images().precision, rows(args, &captioner, &filter)?);
    let vit = vit_seconds(args, &captioner, &rows)? / rows.len() as f64;

    let spent = Arc::new(Mutex::new(Spent::default()));
    let rule = Rule::new(&settings::Filter::default(), 1, 0);
    let models =
        (Box::new(TimedCaptioner(captioner, Arc::clone(&spent))), Box::new(TimedFilter(filter, Arc::clone(&spent))));
    let mut capfilt = CapFilt::new(models.0, models.1, rule, args.batch);
    capfilt.judge("warm-up", &rows[..rows.len().min(args.batch)]).map_err(model_failed)?;
    *spent.lock().expect("nothing panics while it counts") = Spent::default();
    let mut repeats = Vec::new();
    for _ in 0..args.repeats {
        let from = Instant::now();
        capfilt.judge("bench", &rows).map_err(model_failed)?;
        repeats.push(from.elapsed().as_secs_f64() / rows.len() as f64);
    }
    let judged = (rows.len() * repeats.len()) as f64;
    let spent = spent.lock().expect("nothing panics while it counts");
    let result = json!({
        "what": "capfilt", "precision": precision.name(), "device": args.device.to_string(), "threads": threads,
        "batch": capfilt.batch(), "images": rows.len(), "s_per_image": median(&repeats), "repeats": repeats,
        "stages_s_per_image": {
            "caption": spent.caption.as_secs_f64() / judged, "score": spent.score.as_secs_f64() / judged, "one_vit": vit,
        },
        "ids_per_caption": spent.tokens as f64 / judged,
    });
    if args.json {
        println!("{result}");
    } else {
        println!("{:.4} s per image ({} images, batch {}, {})", median(&repeats), rows.len(), args.batch, precision);
        println!("  captioner  {:.4} s", spent.caption.as_secs_f64() / judged);
        println!("  filter     {:.4} s", spent.score.as_secs_f64() / judged);
        println!("  of each, its vision transformer  {vit:.4} s");
    }
    Ok(Exit::Done)
}

/// Seconds that the captioner's vision transformer alone takes for all images; the filter's is as large.
fn vit_seconds(args: &BenchArgs, captioner: &BlipCaptioner, rows: &[Prepared]) -> Result<f64, Failure> {
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
    seconds(&batches[..1]).map_err(model_failed)?;
    let all: Result<Vec<f64>, ModelError> = (0..args.repeats).map(|_| seconds(&batches)).collect();
    all.map(|all| median(&all)).map_err(model_failed)
}

/// The images with a text each, as the worker would hand them to the models.
fn rows(args: &BenchArgs, captioner: &BlipCaptioner, filter: &BlipFilter) -> Result<Vec<Prepared>, Failure> {
    let texts = std::fs::read_to_string(&args.texts);
    let texts = texts.with_context(|| format!("cannot read the texts {}", args.texts.display())).usage()?;
    let texts: Vec<&str> = texts.lines().filter(|line| !line.trim().is_empty()).collect();
    let files = image_file::list(&args.images).usage()?;
    if texts.is_empty() || files.is_empty() {
        return Err(anyhow::anyhow!("{} or {} is empty", args.texts.display(), args.images.display())).usage();
    }
    let images = files.iter().map(|file| {
        let (bytes, for_captioner) = image_file::read(file, captioner.image_side())?;
        let (_, for_filter) = image_file::read(file, filter.image_side())?;
        Ok((bytes, for_captioner, for_filter))
    });
    let images = images.collect::<Result<Vec<_>, Failure>>()?;
    // Fewer images than texts: the pixels' values make no difference to the models' speed.
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
            control: None,
        };
        // A seed of its own for every row, so that captions of one image differ.
        let digest = capfilt_schemas::hash::sha256(&[bytes.as_slice(), &i.to_le_bytes()].concat());
        let web = WebText::Judgeable { cleaned: pre_caption(text, settings::Filter::default().max_words as usize) };
        Prepared { sample, image_sha256: Some(digest), image: Ok(image), web }
    };
    Ok(texts.iter().enumerate().map(row).collect())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
