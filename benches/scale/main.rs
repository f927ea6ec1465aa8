//! Scale of a job: 100,000 shards planned from 1,000 Parquet footers in a bucket, distributed,
//! committed by eight workers, resumed and inspected: time, memory and requests of the program.
//!
//! Two parts are replaced: the models (by a timer, `standin.rs`) and the store (by S3 in memory on
//! loopback, `store.rs`). The coordinator, the queue, the workers' parents and all objects in the bucket are
//! real.
//!
//! ```text
//! benchmark ─ S3 server (a thread)          roles.rs: this program again, as
//!     ├── capfilt plan | status | verify      run         coordinator and eight device children
//!     ├── run                                 coordinate  coordinator of a cluster
//!     └── nats-server, coordinate, worker ×8  worker      one of its workers, with one device child
//! ```

#![allow(clippy::unwrap_used)]

mod course;
mod input;
#[path = "../../tests/support/nats.rs"]
#[allow(dead_code)]
mod nats;
mod phases;
mod report;
mod roles;
mod standin;
mod store;
#[path = "../../tests/support/tools.rs"]
#[allow(dead_code)]
mod tools;
mod watch;

use clap::Parser;

/// `cargo bench --bench scale -- --shards 10000`
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    role: Option<roles::Role>,
    #[command(flatten)]
    size: phases::Size,
    /// Cargo says this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    match args.role {
        Some(role) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(roles::play(role));
        }
        None => phases::measure(&args.size).print(),
    }
}
