//! The contract of the create-only put, over HTTP in an S3 bucket.

use crate::support::{expect, s3::S3};
use capfilt_store::Location;
use capfilt_store_testing::create_contract;
use std::process::Command;

/// Variable with the URL for the process that checks the contract.
const URL: &str = "CAPFILT_CONTRACT_URL";

/// The test runs itself in a second process: endpoint and credentials are variables of the environment.
#[test]
fn create_keeps_its_contract_in_an_s3_bucket() {
    if let Ok(url) = std::env::var(URL) {
        return check(&url);
    }
    let s3 = S3::start();
    let mut checked = Command::new(std::env::current_exe().unwrap());
    checked.args(["--exact", "s3_contract::create_keeps_its_contract_in_an_s3_bucket", "--nocapture"]);
    expect(checked.envs(s3.env()).env(URL, s3.url("contract")), 0);
    assert!(s3.requests("PUT /capfilt/contract/") > 50, "the contract was not checked");
}

fn check(url: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(create_contract::check(&Location::open(url).unwrap()));
}
