//! Settings, inputs and result of one step. The settings are a file that a user could also write by hand.

use crate::digest;
use anyhow::{Context as _, anyhow};
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_runtime::training_data::{self, Named};
use capfilt_schemas::{
    hash::sha256_hex_of_parts,
    settings::{
        bootstrap::Bootstrap,
        train::{Task, Training},
        training_data::{DataSource, Texts},
    },
};
use capfilt_store::Location;
use std::{
    fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

/// Result of a step: the folder of a model or the URL of a job, with a digest of its content.
#[derive(Debug, Clone)]
pub struct Made {
    /// Folder of the model, or URL of the job.
    pub place: String,
    /// Digest of the model's weights, or of the job's pairs.
    pub digest: String,
}

impl Made {
    pub(crate) async fn is_still_there(&self) -> bool {
        let folder = Path::new(&self.place);
        let now = match folder.join("config.json").exists() {
            true => digest::of_model(folder).ok(),
            false => digest::of_job(&self.place).await.ok().flatten(),
        };
        now.as_deref() == Some(self.digest.as_str())
    }
}

/// Kind and inputs of one step.
pub(crate) enum Plan {
    /// Pre-training on human pairs and on raw web pairs or the pairs that `job` kept.
    Pretrain {
        name: String,
        job: Option<Made>,
    },
    FineTune {
        name: String,
        task: Task,
        from: Made,
    },
    Clean {
        name: String,
        captioner: Made,
        filter: Made,
    },
}

impl Plan {
    pub fn name(&self) -> &str {
        let (Self::Pretrain { name, .. } | Self::FineTune { name, .. } | Self::Clean { name, .. }) = self;
        name
    }
}

/// Settings of a step, ready to run.
pub(crate) struct Prepared {
    /// Digest of all inputs.
    pub inputs: String,
    folder: PathBuf,
    settings: Table,
    kind: Kind,
}

enum Kind {
    Train(Task),
    Clean { url: String },
}

/// Assembles the settings of a step and computes the digest of its inputs.
pub(crate) async fn prepare(plan: &Plan, settings: &Bootstrap, beside: &Path) -> Result<Prepared, Failure> {
    let folder =
        |inputs: &str| Path::new(&settings.run.folder).join(format!("{}-{}", plan.name(), &inputs[..8]));
    let own = &settings.run;
    match plan {
        Plan::Pretrain { job, .. } => {
            let web = match job {
                Some(job) => cleaned(&settings.web, job, own.texts),
                None => settings.web.clone(),
            };
            let data = settings.human.iter().cloned().chain([web]);
            let named = |i| if i < settings.human.len() { Named::Human } else { Named::Web };
            train(Task::Pretrain, read(beside, &own.pretrain)?, data.collect(), named, None, folder).await
        }
        Plan::FineTune { task, from, .. } => {
            let file = if *task == Task::Filter { &own.filter } else { &own.captioner };
            train(*task, read(beside, file)?, settings.human.clone(), |_| Named::Human, Some(from), folder)
                .await
        }
        Plan::Clean { captioner, filter, .. } => {
            clean(read(beside, &own.job)?, settings, [captioner, filter], plan.name(), folder).await
        }
    }
}

/// Data source of the web pairs that a job kept, with the weight of the web pairs.
fn cleaned(web: &DataSource, job: &Made, texts: Texts) -> DataSource {
    DataSource { url: String::new(), job: job.place.clone(), texts, filter: None, ..web.clone() }
}

fn read(beside: &Path, file: &str) -> Result<Table, Failure> {
    let path = beside.join(file);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))
        .or_usage_error()?;
    text.parse().with_context(|| path.display().to_string()).or_usage_error()
}

async fn train(
    task: Task,
    mut settings: Table,
    data: Vec<DataSource>,
    named: impl Fn(usize) -> Named,
    from: Option<&Made>,
    folder: impl Fn(&str) -> PathBuf,
) -> Result<Prepared, Failure> {
    let data = data.iter().map(Value::try_from).collect::<Result<Vec<_>, _>>().or_usage_error()?;
    settings.insert("data".to_owned(), Value::Array(data));
    if let Some(from) = from {
        set(&mut settings, "model", "from", &from.place)?;
    }
    // A placeholder: the folder is not an input, and its name follows from the digest.
    set(&mut settings, "run", "folder", "a run of the loop")?;
    let text = toml::to_string(&settings).or_usage_error()?;
    let training = Training::parse(task, &text, &[])
        .with_context(|| format!("settings of the {}", task.name()))
        .or_usage_error()?;
    let version = training_data::open(&training, named).await?.version().to_owned();
    let mut decisive = training.without_bookkeeping();
    decisive.data.clear();
    decisive.model.from = from.map_or(training.model.from, |from| from.digest.clone());
    let decisive = serde_json::to_string(&decisive).or_usage_error()?;
    let inputs = sha256_hex_of_parts([task.name(), &version, &decisive].map(str::as_bytes));
    let folder = folder(&inputs);
    set(&mut settings, "run", "folder", &folder.display().to_string())?;
    Ok(Prepared { inputs, folder, settings, kind: Kind::Train(task) })
}

async fn clean(
    mut settings: Table,
    of: &Bootstrap,
    [captioner, filter]: [&Made; 2],
    name: &str,
    folder: impl Fn(&str) -> PathBuf,
) -> Result<Prepared, Failure> {
    let web = &of.web;
    for (key, value) in [("url", &web.url), ("key", &web.key), ("image", &web.image), ("text", &web.text)] {
        set(&mut settings, "input", key, value)?;
    }
    if let Some(filter) = &web.filter {
        set(&mut settings, "input", "where", filter)?;
    }
    for (key, digest) in [("captioner", &captioner.digest), ("filter", &filter.digest)] {
        set(&mut settings, "models", key, digest)?;
    }
    set(&mut settings, "job", "url", "a job of the loop")?;
    let decisive = toml::to_string(&settings).or_usage_error()?;
    let version = training_data::version(&training_data::plan(web, &of.run.folder, Named::Web).await?, web);
    let inputs = sha256_hex_of_parts([name, &version, &decisive].map(str::as_bytes));
    let folder = folder(&inputs);
    let url = match of.run.jobs.as_str() {
        "" => folder.join("job").display().to_string(),
        jobs => format!("{jobs}/{name}-{}", &inputs[..8]),
    };
    // The absolute URL, as in the job record: the working folder of a later run may differ.
    let url = Location::open(&url).or_usage_error()?.url;
    set(&mut settings, "job", "url", &url)?;
    for (key, made) in [("captioner", captioner), ("filter", filter)] {
        set(&mut settings, "models", key, &made.place)?;
    }
    Ok(Prepared { inputs, folder, settings, kind: Kind::Clean { url } })
}

fn set(table: &mut Table, section: &str, key: &str, value: &str) -> Result<(), Failure> {
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    let section =
        section.as_table_mut().ok_or_else(|| anyhow!("`{key}` must be in a table")).or_usage_error()?;
    section.insert(key.to_owned(), Value::String(value.to_owned()));
    Ok(())
}

impl Prepared {
    fn file(&self) -> PathBuf {
        self.folder.join("settings.toml")
    }

    /// Writes the step's settings into its folder.
    pub fn write(&self) -> Result<(), Failure> {
        let path = self.file();
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot create {}", self.folder.display()))
            .or_environment_error()?;
        let text = toml::to_string(&self.settings).or_usage_error()?;
        fs::write(&path, text)
            .with_context(|| format!("cannot write {}", path.display()))
            .or_environment_error()
    }

    /// Arguments of the program that do the step.
    pub fn command(&self) -> Vec<String> {
        let file = self.file().display().to_string();
        let words: Vec<&str> = match &self.kind {
            Kind::Train(task) => vec!["train", task.name(), "-c", &file],
            Kind::Clean { .. } => vec!["run", "-c", &file],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Returns the result of the finished step.
    pub async fn made(&self) -> Result<Made, Failure> {
        match &self.kind {
            Kind::Train(_) => {
                let folder = self.folder.join("model");
                Ok(Made { digest: digest::of_model(&folder)?, place: folder.display().to_string() })
            }
            Kind::Clean { url } => {
                let digest = digest::of_job(url).await?;
                let digest = digest
                    .ok_or_else(|| anyhow!("the job at {url} ended without a manifest"))
                    .or_environment_error()?;
                Ok(Made { place: url.clone(), digest })
            }
        }
    }
}
