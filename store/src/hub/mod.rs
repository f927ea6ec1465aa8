//! The Hugging Face Hub as a read-only store: repositories of data and of models.
//!
//! A branch is resolved to its commit once, and every listing and read is of this commit, so an opened
//! repository never changes. The ETag of a file is the Hub's own digest of its content: the SHA-256 of a
//! large file (LFS), the Git digest of a small one. Listings (`/api/…/tree`), metadata (`/api/…/paths-info`)
//! and reads (`/resolve/`, which may redirect to another host) agree on it.
//!
//! The libraries of the Hub were refused: `hf-hub` and the Hub's service of OpenDAL both link the Xet client,
//! with 60 further crates and a second TLS library (aws-lc), and neither pins a branch to its commit or
//! compares ETags on reads.

mod access;
mod addresses;
mod api;
pub(crate) mod bucket;
mod client;
pub(crate) mod error;
mod repository;

pub(crate) use repository::Repository;
