//! Tests of the files that belong to a checkpoint, and of those that are fetched.

use super::*;
use object_store::{PutPayload, memory::InMemory, path::Path};
use std::sync::Arc;

async fn remote(files: &[(&str, &str)]) -> Location {
    let store = Arc::new(InMemory::new());
    for (name, content) in files {
        let path = Path::from(format!("models/captioner/{name}"));
        store.put(&path, PutPayload::from(content.to_string())).await.unwrap();
    }
    Location::over(store, "memory://bucket/models/captioner", Path::from("models/captioner"))
}

fn local(files: &[(&str, &str)]) -> (tempfile::TempDir, Location) {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, content)| std::fs::write(folder.path().join(name), content).unwrap());
    let place = Location::open(folder.path().to_str().unwrap()).unwrap();
    (folder, place)
}

fn names(record: &ModelRecord) -> Vec<&str> {
    record.files.iter().map(|file| file.name.as_str()).collect()
}

fn names_in(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const INDEX: &str = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;

#[tokio::test]
async fn every_file_that_is_read_is_pinned_and_fetched_and_no_other() {
    let place = remote(&[
        ("README.md", "x"),
        ("config.json", "{}"),
        ("deeper/config.json", "{}"),
        ("model-1.safetensors", "1"),
        ("model-2.safetensors", "2"),
        ("model.safetensors.index.json", INDEX),
        ("processor_config.json", "{}"),
        ("pytorch_model.bin", "x"),
        ("rng_state.pth", "x"),
        ("tokenizer.json", "{}"),
    ])
    .await;
    let expected = [
        "config.json",
        "model-1.safetensors",
        "model-2.safetensors",
        "model.safetensors.index.json",
        "processor_config.json",
        "tokenizer.json",
    ];
    let pinned = record(&place).await.unwrap();
    assert_eq!(names(&pinned), expected);
    let cache = tempfile::tempdir().unwrap();
    let fetched = local_copy(&place, &pinned, cache.path()).await.unwrap();
    assert_eq!(names_in(&fetched), expected);
    assert_eq!(std::fs::read_to_string(fetched.join("model-2.safetensors")).unwrap(), "2");
    assert_eq!(record(&Location::open(fetched.to_str().unwrap()).unwrap()).await.unwrap(), pinned);
}

#[tokio::test]
async fn weights_are_those_that_transformers_would_take() {
    let pickle = ("pytorch_model.bin.index.json", r#"{"weight_map": {"a": "part.bin"}}"#);
    let all =
        [("model.safetensors", "x"), ("model.safetensors.index.json", INDEX), ("model-1.safetensors", "1")];
    let (_folder, place) = local(&all);
    assert_eq!(names(&record(&place).await.unwrap()), ["model.safetensors"]);
    let (_folder, place) = local(&[pickle, ("part.bin", "x"), ("model_base.pth", "x")]);
    assert_eq!(names(&record(&place).await.unwrap()), ["part.bin", "pytorch_model.bin.index.json"]);
    let (_folder, place) = local(&[("model_base.pth", "x"), ("optimizer.bin", "x")]);
    assert_eq!(names(&record(&place).await.unwrap()), ["model_base.pth"]);
    let (_folder, place) = local(&[("config.json", "{}"), ("optimizer.bin", "x")]);
    let error = record(&place).await.unwrap_err().to_string();
    assert!(error.contains("holds no checkpoint"), "{error}");
}

#[tokio::test]
async fn a_missing_file_of_an_index_is_reported_before_any_file_is_read() {
    let (_folder, place) = local(&[("model.safetensors.index.json", INDEX), ("model-1.safetensors", "1")]);
    let error = record(&place).await.unwrap_err().to_string();
    assert!(error.contains("names model-2.safetensors, which is not beside it"), "{error}");
    let (_folder, place) = local(&[("model.safetensors.index.json", "{")]);
    let error = record(&place).await.unwrap_err().to_string();
    assert!(error.contains("model.safetensors.index.json: not an index"), "{error}");
}

#[tokio::test]
async fn a_job_of_before_the_processor_s_file_was_read_is_loaded_without_it() {
    let (folder, place) = local(&[("config.json", "{}"), ("model.safetensors", "x")]);
    let frozen = record(&place).await.unwrap();
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(local_copy(&place, &frozen, cache.path()).await.unwrap(), folder.path());
    std::fs::write(folder.path().join("processor_config.json"), "{}").unwrap();
    let now = record(&place).await.unwrap();
    assert_ne!(now, frozen);
    assert_eq!(now.as_recorded_in(&frozen), frozen);
    assert_eq!(now.as_recorded_in(&now), now);
    let copied = local_copy(&place, &frozen, cache.path()).await.unwrap();
    assert_eq!(names_in(&copied), ["config.json", "model.safetensors"]);
    assert_eq!(local_copy(&place, &now, cache.path()).await.unwrap(), folder.path());
}
