//! The manifests, held against the published schemas of Kubernetes and against what the recipes promise.

use super::{assert_options_exist, python, recipes};
use crate::support::{expect, repo, stderr, stdout};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest version in which `podFailurePolicy` is not a trial, and the newest whose schemas are published.
const VERSIONS: [&str; 2] = ["1.31", "1.37"];

const MANIFESTS: [&str; 2] = ["coordinator.yaml", "workers.yaml"];

fn manifest(name: &str) -> PathBuf {
    recipes().join("kubernetes").join(name)
}

fn validate(python: &Path, version: &str, file: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg(repo().join("tests/deploy/kubernetes.py")).arg(version).arg(file);
    command
}

/// A manifest that passes the newest schemas.
fn load(python: &Path, name: &str) -> Value {
    let output = stdout(&expect(&mut validate(python, VERSIONS[1], &manifest(name)), 0));
    let mut checked: Value = serde_json::from_str(&output).unwrap();
    checked["manifest"].take()
}

#[test]
fn manifests_obey_the_published_schemas_and_a_wrong_key_does_not_pass() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in MANIFESTS {
        for version in VERSIONS {
            let output = stdout(&expect(&mut validate(&python, version, &manifest(name)), 0));
            let checked: Value = serde_json::from_str(&output).unwrap();
            assert_eq!((&checked["against"], &checked["manifest"]["kind"]), (&version.into(), &"Job".into()));
        }
        let spoiled = folder.path().join(name);
        let text = std::fs::read_to_string(manifest(name)).unwrap();
        std::fs::write(&spoiled, text.replace("runAsNonRoot", "runAsNotRoot")).unwrap();
        let output = expect(&mut validate(&python, VERSIONS[1], &spoiled), 1);
        assert!(stderr(&output).contains("runAsNotRoot"), "{}", stderr(&output));
    }
}

#[test]
fn pods_take_secrets_by_reference_and_write_nowhere_but_into_their_own_volumes() {
    let Some(python) = python() else { return };
    for name in MANIFESTS {
        let manifest = load(&python, name);
        let pod = &manifest["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() >= 30);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        // Every variable of cluster.env, for any cloud, and none of them in the manifest.
        assert_eq!(container["envFrom"], serde_json::json!([{"secretRef": {"name": "capfilt"}}]));
        assert_eq!(container["env"], serde_json::json!([{"name": "CAPFILT_CACHE", "value": "/cache"}]));
        let mounts = container["volumeMounts"].as_array().unwrap();
        for mount in mounts.iter().filter(|mount| mount["readOnly"] != true) {
            let volumes = pod["volumes"].as_array().unwrap();
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            assert!(volume["emptyDir"].is_object(), "{mount}");
        }
        assert_arguments_are_ours(container);
    }
    let workers = load(&python, "workers.yaml");
    let container = &workers["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"]["nvidia.com/gpu"], 1);
    // With `completions` each pod would have separate work.
    assert!(workers["spec"].get("completions").is_none());
}

/// The program knows the options, and cluster.env has the variables of the options.
fn assert_arguments_are_ours(container: &Value) {
    let words: Vec<String> =
        container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect();
    assert_options_exist(&words);
    let variables = std::fs::read_to_string(recipes().join("cluster.env")).unwrap();
    let has = |name: &str| {
        variables.lines().any(|line| line.split_once('=').is_some_and(|(known, _)| known == name))
    };
    let named = words.iter().filter_map(|word| word.strip_prefix("$(")?.strip_suffix(')'));
    assert!(named.clone().count() > 0 && named.clone().all(has), "{words:?}");
}

/// A YAML file as JSON, by the Python of the recipes.
fn yaml(python: &Path, name: &str) -> Value {
    let code = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let output = stdout(&expect(Command::new(python).args(["-c", code]).arg(manifest(name)), 0));
    serde_json::from_str(&output).unwrap()
}

#[test]
fn the_image_has_one_name_in_one_place() {
    let Some(python) = python() else { return };
    let kustomization = yaml(&python, "kustomization.yaml");
    assert_eq!(kustomization["resources"], serde_json::json!(MANIFESTS));
    assert_eq!(kustomization["images"].as_array().unwrap().len(), 1);
    for name in MANIFESTS {
        let manifest = load(&python, name);
        let image = &manifest["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(image, &kustomization["images"][0]["name"], "{name}");
    }
}

/// JSON Patch, as far as the overlay goes: members are added and removed, and elements appended.
fn patch(manifest: &mut Value, operation: &Value) {
    let (parent, last) = operation["path"].as_str().unwrap().rsplit_once('/').unwrap();
    let last = last.replace("~1", "/");
    let target = manifest.pointer_mut(parent).unwrap();
    match (operation["op"].as_str().unwrap(), target) {
        ("remove", Value::Object(members)) => drop(members.remove(&last).unwrap()),
        ("add", Value::Object(members)) => drop(members.insert(last, operation["value"].clone())),
        ("add", Value::Array(elements)) if last == "-" => elements.push(operation["value"].clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nodes_without_gpus_get_workers_that_ask_for_none() {
    let Some(python) = python() else { return };
    let mut workers = load(&python, "workers.yaml");
    let overlay = yaml(&python, "cpu/kustomization.yaml");
    let code = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.argv[1])))";
    let operations = overlay["patches"][0]["patch"].as_str().unwrap();
    let operations = stdout(&expect(Command::new(&python).args(["-c", code, operations]), 0));
    let operations: Vec<Value> = serde_json::from_str(&operations).unwrap();
    operations.iter().for_each(|operation| patch(&mut workers, operation));
    let folder = tempfile::tempdir().unwrap();
    let patched = folder.path().join("workers.yaml");
    std::fs::write(&patched, workers.to_string()).unwrap();
    expect(&mut validate(&python, VERSIONS[1], &patched), 0);
    let pod = &workers["spec"]["template"]["spec"];
    assert!(!pod.to_string().contains("nvidia"), "{pod}");
    let container = &pod["containers"][0];
    assert_arguments_are_ours(container);
    let arguments = container["args"].as_array().unwrap();
    assert_eq!(arguments[arguments.len() - 2..], ["--device", "cpu"]);
}

/// NATS' chart publishes no schema of its values; what the workers need of it is held here.
#[test]
fn the_values_for_nats_ask_for_three_servers_with_queues_in_files_and_a_user() {
    let Some(python) = python() else { return };
    let values = yaml(&python, "nats-values.yaml");
    let config = &values["config"];
    assert_eq!((&config["cluster"]["enabled"], &config["cluster"]["replicas"]), (&true.into(), &3.into()));
    assert_eq!(
        (&config["jetstream"]["enabled"], &config["jetstream"]["fileStore"]["enabled"]),
        (&true.into(), &true.into())
    );
    for (setting, variable) in [("user", "NATS_USER"), ("password", "NATS_PASSWORD")] {
        assert_eq!(config["merge"]["authorization"][setting], format!("<< ${variable} >>"));
        assert_eq!(values["container"]["env"][variable]["valueFrom"]["secretKeyRef"]["key"], variable);
    }
}
