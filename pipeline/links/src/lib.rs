#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod address;
mod answer;
mod clients;
mod digest;
mod exchange;
mod fetcher;
mod hosts;
mod link;
mod network;
mod resolver;
mod retry_after;
mod robots;
mod room;

pub use fetcher::Fetcher;
pub use link::{Fetched, Link, is_link};
pub use network::NetworkDown;
pub use room::{Room, Seat};

#[cfg(test)]
mod tests;
