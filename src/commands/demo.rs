//! `capfilt demo`: pictures whose captions are known to be true or false, and the accuracy of a job on them.

mod truth;
mod whole;

use crate::args::{DemoArgs, DemoDataArgs};
use anyhow::{Context as _, anyhow};
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Progress, outln};
use capfilt_demo_data::{
    files::{MakeError, Order, Vary, make},
    scene::MOST_OBJECTS,
    sheet, vocabulary,
};
use std::path::Path;

pub async fn run(args: &DemoArgs) -> Ending {
    if let (Some(folder), false) = (&args.folder, args.is_whole()) {
        let folder = folder.display();
        return Err(anyhow!("{folder} is a folder for the whole demo; leave it out with another option"))
            .or_usage_error();
    }
    match (&args.make_data, &args.make_vocabulary, &args.truth) {
        (Some(folder), ..) => make_data(folder, &args.data),
        (_, Some(folder), _) => make_vocabulary(folder),
        (.., Some(job)) => truth::run(job, &args.input, args.json).await,
        (None, None, None) => whole::run(args.folder.as_deref()).await,
    }
}

fn make_data(folder: &Path, asked: &DemoDataArgs) -> Ending {
    let (scenes, captions) = (asked.scenes, asked.captions_per_scene);
    if asked.vary == Vary::Places && asked.objects < MOST_OBJECTS {
        return Err(anyhow!(
            "--vary places needs pictures with two shapes, but --objects is 1; leave out --objects"
        ))
        .or_usage_error();
    }
    let DemoDataArgs { kind: source, vary, side, seed, family_size, objects, file_rows, group_rows, .. } =
        *asked;
    let order =
        Order { scenes, captions, side, seed, source, family_size, vary, objects, file_rows, group_rows };
    let (all, mut progress) = (scenes * captions, Progress::start("{bar:24} {pos}/{len} pairs  {eta} left"));
    let line = |rows| format!("{rows}/{all} pairs");
    let made = make(folder, &order, |rows| progress.show(rows, all, String::new(), |_| line(rows)));
    progress.finish();
    let counts = match made {
        Err(leftover @ MakeError::Leftover { .. }) => Err(leftover).or_usage_error()?,
        made => made.or_environment_error()?,
    };
    if let Some(path) = &asked.contact_sheet {
        sheet::write(path, &order)
            .with_context(|| format!("cannot write {}", path.display()))
            .or_environment_error()?;
    }
    let kinds: Vec<String> = counts.iter().map(|(kind, n)| format!("{n} {}", kind.name())).collect();
    let pairs: u64 = counts.values().sum();
    outln!(
        "{pairs} {} pairs of {scenes} pictures in {}: {}",
        source.name(),
        folder.display(),
        kinds.join(", ")
    );
    Ok(Exit::Done)
}

fn make_vocabulary(folder: &Path) -> Ending {
    vocabulary::write(folder).or_environment_error()?;
    let pieces = vocabulary::pieces().len();
    outln!("{pieces} pieces in {}; a model of them has {} ids", folder.display(), vocabulary::model_size());
    Ok(Exit::Done)
}
