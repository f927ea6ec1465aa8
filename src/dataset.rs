//! The data a training run names, opened: files and row groups as a plan finds them.

use crate::{
    commands::blamed,
    exit::{Blame as _, Failure},
    say,
};
use capfilt_bucket::Place;
use capfilt_pipeline::input::InputColumns;
use capfilt_schemas::{
    predicate::Predicate,
    settings::{self, Settings, train::Training, training_data::DataSource},
};
use capfilt_train::data::{Dataset, Source};

/// Words of a text that a model learns, as BLIP cuts them.
const MAX_WORDS: usize = 30;

/// Reads the footers of all sources.
pub async fn open(training: &Training) -> Result<Dataset, Failure> {
    let mut sources = Vec::with_capacity(training.data.len());
    for source in &training.data {
        sources.push(open_source(source, training).await?);
    }
    Dataset::new(sources, training).usage()
}

async fn open_source(source: &DataSource, training: &Training) -> Result<Source, Failure> {
    let place = Place::open(&source.url).usage()?;
    let plan = blamed(capfilt_coordinator::plan(&place, &as_input(source, training)).await)?;
    plan.refused.iter().for_each(|file| say::line(format!("refused: {}: {}", file.path, file.reason)));
    let selection = source.filter.as_deref().map(Predicate::parse).transpose().usage()?;
    let columns = InputColumns {
        key: source.key.clone(),
        image: source.image.clone(),
        text: source.text.clone(),
        selection,
        passthrough: Vec::new(),
        max_words: MAX_WORDS,
        image_bytes: settings::Limits::default().image_bytes.0,
        seed: 0,
    };
    Ok(Source { place, shards: plan.shards, columns, weight: source.weight })
}

/// A source as the input of a job that is never run: it is planned alike, every row group a shard.
fn as_input(source: &DataSource, training: &Training) -> Settings {
    Settings {
        job: settings::Job { url: training.run.folder.clone(), seed: 0 },
        input: settings::Input {
            url: source.url.clone(),
            key: source.key.clone(),
            image: source.image.clone(),
            text: source.text.clone(),
            filter: source.filter.clone(),
            passthrough: Vec::new(),
            exif_rotation: false,
        },
        models: settings::Models {
            captioner: String::new(),
            filter: String::new(),
            preset: settings::Preset::default(),
            precision: settings::Precision::default(),
        },
        captioner: settings::Captioner::default(),
        filter: settings::Filter::default(),
        shards: settings::Shards { rows: 1 },
        workers: settings::Workers::default(),
        limits: settings::Limits::default(),
        output: settings::Output::default(),
    }
}
