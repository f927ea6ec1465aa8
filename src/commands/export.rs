//! `capfilt export`: D' for other trainers.

use crate::{
    args::ExportArgs,
    cleaned, dataset,
    exit::{Blame as _, Ending, Exit, Failure},
    say,
};
use capfilt_bucket::{Bucket, Place, without_secrets};
use capfilt_export::{Content, Export, ExportError, Progress, Source, export, find};
use capfilt_schemas::{
    export::{self as record, ExportRecord},
    settings::training_data::{DataSource, Texts},
};
use capfilt_train::data::MAX_WORDS;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Time between two lines when there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub async fn run(args: &ExportArgs) -> Ending {
    let bucket = Bucket::open(&args.to).usage()?;
    let mut sources = Vec::with_capacity(args.human.len() + args.job.len());
    for url in &args.human {
        sources.push(human(url, args).await?);
    }
    for url in &args.job {
        sources.push(job(url, args.texts.into()).await?);
    }
    let asked = Export { sources, format: args.format.into(), file_bytes: args.file_mib << 20 };
    let made = match find(&bucket, &asked).await {
        Ok(Some(found)) => {
            say::line("this export is finished; nothing to do");
            found
        }
        Ok(None) => {
            let mut shown = Shown::new();
            let made = export(&bucket, &asked, |progress| shown.show(progress)).await;
            shown.finish();
            made.environment()?
        }
        Err(error @ ExportError::Another { .. }) => return Err(error).usage(),
        Err(error) => return Err(error).environment(),
    };
    if args.json {
        println!("{}", serde_json::to_string(&made).environment()?);
    } else {
        println!("{}", shown(&made, &bucket.place));
    }
    Ok(Exit::Done)
}

async fn human(url: &str, args: &ExportArgs) -> Result<Source, Failure> {
    let source = DataSource::of_files(url, &args.key, &args.image, &args.text, args.filter.as_deref());
    let shards = dataset::plan(&source, &args.to).await?;
    let version = dataset::version(&shards, &source);
    let record = record::Source::Human { url: without_secrets(url), version };
    let content = Content::Human { shards, columns: dataset::columns(&source)? };
    Ok(Source { record, place: Place::open(url).usage()?, content })
}

async fn job(url: &str, texts: Texts) -> Result<Source, Failure> {
    let cleaned = cleaned::open(url).await?;
    let record = record::Source::Job {
        url: without_secrets(url),
        manifest: cleaned.manifest.n,
        digest: cleaned.manifest.digest,
        texts: texts.name().to_owned(),
    };
    let tables = cleaned.tables.into_iter().map(|table| table.object).collect();
    let content = Content::Job { tables, texts, max_words: MAX_WORDS };
    Ok(Source { record, place: Place::open(url).usage()?, content })
}

fn shown(made: &ExportRecord, place: &Place) -> String {
    let counts = &made.counts;
    let bytes: u64 = made.files.iter().map(|file| file.bytes).sum();
    let images = if counts.images > 0 { format!(" and {} images", counts.images) } else { String::new() };
    format!(
        "{} pairs ({} human, {} web, {} synthetic) in {} files{images}, {:.1} MB; {} were there twice, {} had no image or \
         no text\n{}",
        counts.written(),
        counts.human,
        counts.web,
        counts.synthetic,
        made.files.len(),
        bytes as f64 / 1e6,
        counts.duplicates,
        counts.unusable,
        place.url_of(record::RECORD)
    )
}

/// A bar on a terminal, a line every few seconds elsewhere.
struct Shown {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Shown {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} parts  {msg}  {eta} left");
        let bar = say::may_draw().then(|| ProgressBar::new(0).with_style(style.expect("the template is sound")));
        say::set_bar(bar.clone());
        Self { bar, last_line: Instant::now() }
    }

    fn show(&mut self, progress: Progress) {
        let pairs = format!("{} pairs", progress.counts.written());
        if let Some(bar) = &self.bar {
            bar.set_length(progress.parts as u64);
            bar.set_position(progress.parts_done as u64);
            bar.set_message(pairs);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            say::line(format!("{}/{} parts, {pairs}", progress.parts_done, progress.parts));
        }
    }

    fn finish(self) {
        say::set_bar(None);
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}
