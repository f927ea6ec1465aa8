//! `capfilt files`: the result files of a job, one per line, for tools that read Parquet or tars.

use crate::args::FilesArgs;
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, Failure, outln};
use capfilt_coordinator::{
    cuts::CutsError,
    outputs::{OutputsError, Version, Versioned, outputs},
};
use capfilt_schemas::commit::Output;
use capfilt_store::Location;
use serde_json::json;

pub async fn run(args: &FilesArgs) -> Ending {
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    let version = match (&args.cut, args.manifest) {
        (Some(cut), _) => Version::Cut(cut.clone()),
        (None, n) => n.map_or(Version::NewestOrCommitted, Version::Manifest),
    };
    let mut objects: Vec<Output> = Vec::new();
    // A table without rows is also listed; it has the same columns.
    let take = |output: &Output| output.table == args.table;
    let found =
        outputs(&bucket, version, |_, one| objects.extend(one.commit.outputs.into_iter().filter(take))).await;
    let found = blamed(found)?;
    if found.manifest.is_none() {
        console::line(format!(
            "no manifest yet: these are the objects of the {} of {} shards that are committed so far",
            found.commits, found.planned
        ));
    }
    if args.json {
        outln!("{}", as_json(&found, &objects, &bucket));
    } else {
        objects.iter().for_each(|object| outln!("{}", address(&bucket, object)));
    }
    Ok(Exit::Done)
}

fn as_json(found: &Versioned, objects: &[Output], place: &Location) -> serde_json::Value {
    let files: Vec<_> = objects
        .iter()
        .map(|o| json!({"url": address(place, o), "rows": o.rows, "bytes": o.bytes, "sha256": o.sha256}))
        .collect();
    let manifest = found.manifest.as_ref().map(|manifest| manifest.n);
    let rows: u64 = objects.iter().map(|object| object.rows).sum();
    json!({
        "manifest": manifest, "shards": found.commits, "planned_shards": found.planned, "rows": rows,
        "files": files,
    })
}

/// URL or local path of an object, in the form that tools for Parquet accept.
fn address(place: &Location, object: &Output) -> String {
    place.url_of(&object.path)
}

/// Assigns the exit code: a wrong manifest number is a usage error; a fault of the job or of its store is an
/// environment error.
fn blamed(found: Result<Versioned, OutputsError>) -> Result<Versioned, Failure> {
    match found {
        Err(
            error @ (OutputsError::NoSuchManifest { .. }
            | OutputsError::Cut(CutsError::NoSuchCut { .. })
            | OutputsError::Unfinished { .. }),
        ) => Err(error).or_usage_error(),
        found => found.or_environment_error(),
    }
}
