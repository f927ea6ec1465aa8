//! The contract of the create-only put, on a local folder and in memory.

#![allow(clippy::unwrap_used)]

use capfilt_store::Location;
use capfilt_store_testing::create_contract;
use object_store::{memory::InMemory, path::Path};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn create_keeps_its_contract_in_a_local_folder() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("job").display().to_string();
    create_contract::check(&Location::open_without_links(&place).unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn create_keeps_its_contract_in_memory() {
    let place = Location::over(Arc::new(InMemory::new()), "memory://bucket/job", Path::from("job"));
    create_contract::check(&place).await;
}
