//! `capfilt status`: where a job stands.

use crate::{
    args::StatusArgs,
    exit::{Blame as _, Ending, Exit},
};
use capfilt_bucket::Bucket;
use capfilt_coordinator::Status;
use std::time::Duration;

/// Time between two looks with `--watch`; each costs a listing of all commits.
const WATCH_EVERY: Duration = Duration::from_secs(2);

pub async fn run(args: &StatusArgs) -> Ending {
    let bucket = Bucket::open(&args.job).usage()?;
    loop {
        let status = capfilt_coordinator::status(&bucket).await.environment()?;
        if args.json {
            println!("{}", serde_json::to_string(&status).environment()?);
        } else {
            show(&status);
        }
        if status.done || !args.watch {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

fn show(status: &Status) {
    let states = |what: &str, states: &capfilt_coordinator::States| {
        let (planned, committed) = (states.planned, states.committed);
        println!(
            "{what}  {committed} of {planned} committed, {} quarantined, {} open",
            states.quarantined, states.open
        );
    };
    states("shards", &status.shards);
    states("rows  ", &status.rows);
    let by_status: Vec<String> =
        status.rows_by_status.iter().map(|(status, rows)| format!("{rows} {status}")).collect();
    println!("        {}", by_status.join(", "));
    println!(
        "kept    {} web texts, {} synthetic texts, {} pairs",
        status.kept.web, status.kept.synthetic, status.kept.pairs
    );
    status.failures.iter().for_each(|(class, count)| println!("failed  {count} attempts: {class}"));
    status.refused.iter().for_each(|file| println!("refused {}: {}", file.path, file.reason));
    println!("{}", status.manifest.as_deref().map_or("not done".to_owned(), |manifest| format!("done    {manifest}")));
}
