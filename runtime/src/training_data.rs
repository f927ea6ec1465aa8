//! Opens the data sources of a training run: plans files and row groups, or reads the tables of a job.

use crate::{finished_job, plan_exit::of_plan};
use capfilt_console::{self as console, ExitCodeExt as _, Failure};
use capfilt_coordinator::dataset::PairsTable;
use capfilt_pipeline::{
    cleaned::ShardTables,
    input::{InputColumns, PairColumns, READING_BYTES},
    text::STATEMENT_WORDS,
};
use capfilt_schemas::{
    hash::sha256_hex_of_parts,
    plan::Shard,
    predicate::Predicate,
    settings::{
        self, Settings, TextColumns,
        train::{Task, Training},
        training_data::DataSource,
    },
};
use capfilt_store::{Location, without_secrets};
use capfilt_train::data::{
    Answers, Choice, Content, Dataset, JobTable, MAX_WORDS, MOST_ANSWERS, RowKind, Source,
};

/// Names of a source's settings for the user. A plan's errors use the names of a job's input (`input.image`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// `[[data]]` of a training run on texts.
    Data,
    /// `[[data]]` of a training run on questions.
    Questions,
    /// `[[data]]` of a training run on statements about pairs of images.
    Statements,
    /// `[[human]]` of a loop.
    Human,
    /// `[web]` of a loop.
    Web,
    /// Options of the command line.
    Options,
    /// Options of the command line, for rows of clips.
    ClipOptions,
}

impl Named {
    /// Names of the data of a training run.
    pub fn of(task: Task) -> Self {
        match task {
            Task::Vqa => Self::Questions,
            Task::Nlvr => Self::Statements,
            Task::Pretrain | Task::Filter | Task::Captioner => Self::Data,
        }
    }

    /// Replaces the names in a text of a plan by the user's names.
    fn rename(self, text: &str) -> String {
        const KEYS: [&str; 6] = ["url", "key", "image", "text", "where", "passthrough"];
        let prefix = match self {
            Self::Data | Self::Questions | Self::Statements => "data.",
            Self::Human => "human.",
            Self::Web => "web.",
            Self::Options | Self::ClipOptions => "--",
        };
        let rename = |text: String, key: &str| match (self, key) {
            (Self::Options | Self::ClipOptions, "url") => text.replace("input.url", "the URL"),
            (Self::Questions, "text") => text.replace("input.text", "data.question or data.answers"),
            (Self::Statements, "text") => text.replace("input.text", "data.statement"),
            (Self::Statements, "passthrough") => {
                text.replace("input.passthrough", "data.second_image or data.label")
            }
            _ => text.replace(&format!("input.{key}"), &format!("{prefix}{key}")),
        };
        // `input.frames` is a key of jobs only.
        let text = text.replace(", as input.frames is set", "");
        let text = text.replace(
            "set input.frames to the number of frames to judge",
            "clips are for jobs, `eval video-retrieval` and `eval video-qa`",
        );
        KEYS.into_iter().fold(text, rename)
    }
}

/// Reads the footers of all sources; `named` returns the names of the source with an index.
///
/// # Errors
/// When a source cannot be planned or opened.
pub async fn open(training: &Training, named: impl Fn(usize) -> Named) -> Result<Dataset, Failure> {
    let mut sources = Vec::with_capacity(training.data.len());
    for (i, source) in training.data.iter().enumerate() {
        sources.push(open_source(source, training, named(i)).await?);
    }
    Dataset::new(sources, training).or_usage_error()
}

async fn open_source(source: &DataSource, training: &Training, named: Named) -> Result<Source, Failure> {
    let content =
        if source.job.is_empty() { rows(source, training, named).await? } else { job(source).await? };
    // The program wrote the folder of a job, so no symbolic link in it is followed.
    let place = match source.job.as_str() {
        "" => Location::open(&source.url).or_usage_error()?,
        job => Location::open_without_links(job).or_usage_error()?,
    };
    Ok(Source { place, weight: source.weight, content })
}

async fn rows(source: &DataSource, training: &Training, named: Named) -> Result<Content, Failure> {
    let shards = plan(source, &training.run.folder, named).await?;
    let (mut columns, mut kind) = (Box::new(columns(source)?), RowKind::Captions);
    if named == Named::Questions {
        columns.texts = vec![source.question.as_str().into(), source.answers.as_str().into()];
        columns.most_texts = MOST_ANSWERS;
        kind = RowKind::Questions(Answers {
            column: source.answers.as_str().into(),
            weight: source.answer_weight,
        });
    }
    if named == Named::Statements {
        let pair = pair_columns(source);
        columns.texts = vec![source.statement.as_str().into()];
        (columns.passthrough, columns.max_words) = (pair.names(), STATEMENT_WORDS);
        kind = RowKind::Statements(pair);
    }
    Ok(Content::Rows { shards, columns, kind })
}

/// Plans a source: each row group of its files is a shard. Prints the files that cannot be used. `own` is the
/// location of the output, which the plan leaves out.
///
/// # Errors
/// When the source cannot be read, or no file of it fits.
pub async fn plan(source: &DataSource, own: &str, named: Named) -> Result<Vec<Shard>, Failure> {
    let place = Location::open(&source.url).or_usage_error()?;
    let plan = of_plan(capfilt_coordinator::plan(&place, &as_input(source, own, named)).await);
    let plan = plan.map_err(|Failure { exit, error }| {
        let (original, renamed) = (error.to_string(), named.rename(&error.to_string()));
        Failure { exit, error: if original == renamed { error } else { anyhow::Error::msg(renamed) } }
    })?;
    let shown = |reason: &str| named.rename(reason);
    plan.refused
        .iter()
        .for_each(|file| console::line(format!("refused: {}: {}", file.path, shown(&file.reason))));
    Ok(plan.shards)
}

/// Files of an evaluation of images, or of clips: their place, shards and columns. An evaluation writes
/// nothing, so its plan has no output to leave out.
///
/// # Errors
/// As [`plan`] and [`columns`].
pub async fn opened(
    source: &DataSource,
    clips: bool,
) -> Result<(Location, Vec<Shard>, InputColumns), Failure> {
    // A name that no input has.
    let own = format!("{}.eval", source.url.trim_end_matches('/'));
    let shards = plan(source, &own, if clips { Named::ClipOptions } else { Named::Options }).await?;
    Ok((Location::open(&source.url).or_usage_error()?, shards, columns(source)?))
}

/// Columns of second images and labels.
fn pair_columns(source: &DataSource) -> PairColumns {
    PairColumns { second_image: source.second_image.clone(), label: source.label.clone() }
}

/// Digest of a source: its files in their current versions, and the condition of its rows.
pub fn version(shards: &[Shard], source: &DataSource) -> String {
    let filter = source.filter.as_deref().unwrap_or_default();
    sha256_hex_of_parts(shards.iter().map(|shard| shard.id.as_str().as_bytes()).chain([filter.as_bytes()]))
}

/// Columns of a source that are read.
///
/// # Errors
/// When the condition of the rows is invalid.
pub fn columns(source: &DataSource) -> Result<InputColumns, Failure> {
    Ok(InputColumns {
        key: source.key.clone(),
        image: source.image.clone(),
        texts: vec![source.text.as_str().into()],
        selection: source.filter.as_deref().map(Predicate::parse).transpose().or_usage_error()?,
        passthrough: Vec::new(),
        max_words: MAX_WORDS,
        image_bytes: settings::Limits::default().image_bytes.0,
        text_bytes: settings::Limits::default().text_bytes.0,
        most_texts: settings::Limits::default().texts as usize,
        seed: 0,
        memory: READING_BYTES,
        links: None,
    })
}

async fn job(source: &DataSource) -> Result<Content, Failure> {
    let cleaned = finished_job::open(&source.job, source.cut.as_ref()).await?;
    let manifest = &cleaned.manifest;
    let (texts, quarantined) = (source.texts.name(), manifest.quarantined.len());
    console::line(format!(
        "{}: version {}{} of {} pairs, texts {texts}{}",
        without_secrets(&source.job),
        manifest.n,
        source.cut.as_ref().map(|cut| format!(", cut {cut},")).unwrap_or_default(),
        cleaned.tally().pairs,
        if quarantined > 0 {
            format!("; {quarantined} shards are quarantined and not in it")
        } else {
            String::new()
        },
    ));
    let (referenced, tables) = (finished_job::referenced(&cleaned)?, finished_job::tables(&cleaned)?);
    let table =
        |(tables, of): (ShardTables, &PairsTable)| JobTable { tables, web: of.web, synthetic: of.synthetic };
    let tables = tables.into_iter().zip(&cleaned.tables).map(table).collect();
    let choice = Choice { texts: source.texts, synthetic_share: source.synthetic_share };
    Ok(Content::Job { tables, choice, referenced })
}

/// Settings of a job that is never run, with the source as its input: the plan makes each row group a shard.
fn as_input(source: &DataSource, own: &str, named: Named) -> Settings {
    let text = match named {
        Named::Questions => TextColumns::from(vec![source.question.clone(), source.answers.clone()]),
        Named::Statements => source.statement.as_str().into(),
        _ => source.text.as_str().into(),
    };
    let passthrough = if named == Named::Statements { pair_columns(source).names() } else { Vec::new() };
    Settings {
        job: settings::Job { url: own.to_owned(), seed: 0 },
        input: settings::Input {
            url: source.url.clone(),
            key: source.key.clone(),
            image: source.image.clone(),
            frames: (named == Named::ClipOptions).then_some(1),
            text,
            filter: source.filter.clone(),
            passthrough,
            exif_rotation: false,
            jpeg_reduction: false,
        },
        links: settings::Links::default(),
        models: settings::Models {
            captioner: None,
            filter: String::new(),
            clip: None,
            preset: settings::Preset::default(),
            precision: settings::Precision::default(),
        },
        captioner: settings::Captioner::default(),
        filter: settings::Filter::default(),
        shards: settings::Shards { rows: 1 },
        workers: settings::Workers::default(),
        limits: settings::Limits::default(),
        output: settings::Output::default(),
        stores: settings::stores::Stores::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_of_a_plan_name_the_settings_of_their_user() {
        let text = "input.url holds no file with the column `jpg` (input.image); see input.where";
        assert_eq!(
            Named::Web.rename(text),
            "web.url holds no file with the column `jpg` (web.image); see web.where"
        );
        assert_eq!(
            Named::Options.rename(text),
            "the URL holds no file with the column `jpg` (--image); see --where"
        );
    }
}
