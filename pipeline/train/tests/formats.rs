//! Persistent formats of training, compared with frozen text. A difference is a format change: decide on it,
//! and raise the version of the format.

use capfilt_schemas::settings::train::Task;
use capfilt_train::{
    Line, State,
    data::Cursor,
    lineage::{Data, Lineage, Parent},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::fmt::Debug;

fn is_written_as<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, text: &str) {
    assert_eq!(serde_json::to_string(value).unwrap(), text);
    assert_eq!(&serde_json::from_str::<T>(text).unwrap(), value);
}

#[test]
fn a_checkpoint_s_state_is_written_as_it_was_frozen() {
    let state = State {
        version: 1,
        step: 40,
        cursor: Cursor { epoch: 1, step: 8 },
        queue_at: 24,
        digest: "d1".into(),
    };
    is_written_as(
        &state,
        r#"{"version":1,"step":40,"cursor":{"epoch":1,"step":8},"queue_at":24,"digest":"d1"}"#,
    );
}

#[test]
fn a_model_s_lineage_is_written_as_it_was_frozen_and_settings_of_other_versions_are_read() {
    let lineage = |task, settings, parent| Lineage {
        version: 1,
        task,
        capfilt: "0.1.0".into(),
        steps: 40,
        epochs: 1.25,
        data: Data { version: "v1".into(), pairs: 512 },
        settings,
        parent,
    };
    let first = lineage(Task::Pretrain, json!({"run": {"seed": 42, "a key of some other version": 1}}), None);
    let parent = Parent { path: "out/model.safetensors".into(), sha256: "s1".into(), lineage: Some(first) };
    let second = lineage(
        Task::Filter,
        json!({"objective": {"losses": ["itc", "itm"]}, "run": {"seed": 7}}),
        Some(parent.into()),
    );
    is_written_as(
        &second,
        concat!(
            r#"{"version":1,"task":"filter","capfilt":"0.1.0","steps":40,"epochs":1.25,"#,
            r#""data":{"version":"v1","pairs":512},"settings":{"objective":{"losses":["itc","itm"]},"#,
            r#""run":{"seed":7}},"parent":{"path":"out/model.safetensors","sha256":"s1","#,
            r#""lineage":{"version":1,"task":"pretrain","capfilt":"0.1.0","steps":40,"epochs":1.25,"#,
            r#""data":{"version":"v1","pairs":512},"settings":{"run":{"a key of some other version":1,"#,
            r#""seed":42}}}}}"#,
        ),
    );
    assert!(second.describe().contains("(losses itc+itm; seed 7; capfilt 0.1.0)"), "{}", second.describe());
}

#[test]
fn a_line_of_metrics_is_written_as_it_was_frozen() {
    let line = Line {
        step: 50,
        epoch: 0.5,
        itc: Some(2.5),
        itm: None,
        lm: Some(1.5),
        learning_rate: 0.001,
        alpha: 0.4,
        temperature: 0.07,
        gradient_norm: 1.5,
        images_per_second: 250.0,
        waiting: 0.25,
        skipped_rows: 1,
    };
    is_written_as(
        &line,
        concat!(
            r#"{"step":50,"epoch":0.5,"itc":2.5,"lm":1.5,"learning_rate":0.001,"alpha":0.4,"#,
            r#""temperature":0.07,"gradient_norm":1.5,"images_per_second":250.0,"waiting":0.25,"#,
            r#""skipped_rows":1}"#,
        ),
    );
}
