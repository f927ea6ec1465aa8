//! Parquet tables: the rows, columns, encoder and decoder of each table in one file.

mod cells;
mod embedding;
mod holds;
pub mod ledger;
pub mod pairs;
pub mod plan;
pub mod quarantine;
pub mod texts;

pub use holds::first_lacking;

/// Random numbers of a test, from a printed seed; the environment variable `SEED` selects a seed.
#[cfg(test)]
fn dice() -> rand::rngs::StdRng {
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("SEED={seed}");
    rand::SeedableRng::seed_from_u64(seed)
}
