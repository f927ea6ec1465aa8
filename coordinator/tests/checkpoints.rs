//! Checkpoints on the Hugging Face Hub, on a server on loopback.

use capfilt_coordinator::checkpoints;
use capfilt_schemas::settings::stores::Store;
use capfilt_store::{Location, add_stores};
use capfilt_store_testing::hub::Hub;

#[tokio::test]
async fn large_files_of_a_checkpoint_are_recorded_by_the_digest_of_the_hub_and_checked_when_they_are_copied()
{
    let hub = Hub::start();
    hub.put("models/checkpoint/n", "config.json", b"{}".to_vec());
    hub.put("models/checkpoint/n", "model.safetensors", vec![7; 10_000]);
    hub.put("models/checkpoint/n", "other.txt", b"not read".to_vec());
    hub.commit("models/checkpoint/n", "main");
    let place = {
        let store = Store { endpoint: Some(hub.endpoint().to_owned()), ..Store::default() };
        add_stores(&[("hf://checkpoint/n".to_owned(), store)].into());
        Location::open("hf://checkpoint/n").unwrap()
    };
    let record = checkpoints::record(&place).await.unwrap();
    let names: Vec<&str> = record.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["config.json", "model.safetensors"]);
    assert_eq!(hub.cache_requests(), 0, "the weights were not read");
    let cache = tempfile::tempdir().unwrap();
    let folder = checkpoints::local_copy(&place, &record, cache.path()).await.unwrap();
    assert!(std::fs::read(folder.join("model.safetensors")).unwrap() == vec![7; 10_000]);
    let local = Location::open(folder.to_str().unwrap()).unwrap();
    assert_eq!(checkpoints::record(&local).await.unwrap(), record);
}
