//! `capfilt demo`: pictures whose captions are known to be true or false, and the accuracy of a job on them.

mod truth;
mod whole;

use crate::args::DemoArgs;
use anyhow::{Context as _, anyhow};
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Progress, outln};
use capfilt_demo_data::{
    files::{Order, make},
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
        (Some(folder), ..) => make_data(folder, &args.data, args.contact_sheet.as_deref()),
        (_, Some(folder), _) => make_vocabulary(folder),
        (.., Some(job)) => truth::run(job, args).await,
        (None, None, None) => whole::run(args.folder.as_deref()).await,
    }
}

fn make_data(folder: &Path, order: &Order, contact_sheet: Option<&Path>) -> Ending {
    let (all, mut progress) =
        (order.scenes * order.captions, Progress::start("{bar:24} {pos}/{len} pairs  {eta} left"));
    let line = |rows| format!("{rows}/{all} pairs");
    let made = make(folder, order, |rows| progress.show(rows, all, String::new(), |_| line(rows)));
    progress.finish();
    let counts = match made {
        Err(error) if error.is_of_order() => Err(error).or_usage_error()?,
        made => made.or_environment_error()?,
    };
    if let Some(path) = contact_sheet {
        sheet::write(path, order)
            .with_context(|| format!("cannot write {}", path.display()))
            .or_environment_error()?;
    }
    let kinds: Vec<String> = counts.iter().map(|(kind, n)| format!("{n} {}", kind.name())).collect();
    let pairs: u64 = counts.values().sum();
    outln!(
        "{pairs} {} pairs of {} {} in {}: {}",
        order.source.name(),
        order.scenes,
        if order.source.is_clips() { "clips" } else { "pictures" },
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
