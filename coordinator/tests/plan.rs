//! Tests of planning over real Parquet files.

use crate::support::{World, write_table};
use arrow::array::{ArrayRef, StringArray};
use capfilt_coordinator::{PlanError, plan, plan::table};
use std::sync::Arc;

#[tokio::test]
async fn a_plan_covers_every_row_once_and_is_the_same_every_time() {
    let world = World::new();
    world.write_input("b.parquet", 25, 4);
    world.write_input("a/x.parquet", 7, 100);
    let plan = world.plan().await;
    let cuts: Vec<_> = plan
        .shards
        .iter()
        .map(|s| (s.file.path.as_str(), s.part.row_groups(), s.first_row, s.rows))
        .collect();
    assert_eq!(
        cuts,
        [
            ("a/x.parquet", 0..1, 0, 7),
            ("b.parquet", 0..3, 0, 12),
            ("b.parquet", 3..6, 12, 12),
            ("b.parquet", 6..7, 24, 1)
        ]
    );
    assert_eq!((plan.rows, plan.files, plan.warnings.len()), (32, 2, 0));
    let again = world.plan().await;
    assert_eq!(table::encode(&again.shards), table::encode(&plan.shards));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_listed_and_harms_no_other() {
    let world = World::new();
    world.write_input("good.parquet", 5, 5);
    world.write_input("no-rows.parquet", 0, 5);
    std::fs::write(world.web("empty.parquet"), "").unwrap();
    std::fs::write(world.web("text.parquet"), "this is not a Parquet file, despite its name").unwrap();
    let whole = std::fs::read(world.web("good.parquet")).unwrap();
    std::fs::write(world.web("torn.parquet"), &whole[..whole.len() / 2]).unwrap();
    let text = || -> ArrayRef { Arc::new(StringArray::from(vec!["x"])) };
    write_table(&world.web("lacking.parquet"), &[("key", text()), ("jpeg", text()), ("caption", text())], 5);
    let plan = world.plan().await;
    assert_eq!(plan.shards.len(), 1);
    assert_eq!(plan.without_rows[0].path, "no-rows.parquet");
    let refused: Vec<_> = plan.refused.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(refused, ["empty.parquet", "lacking.parquet", "text.parquet", "torn.parquet"]);
    assert!(plan.refused[0].reason.contains("0 bytes"));
    assert!(
        plan.refused[1].reason.contains("did you mean input.image = \"jpeg\""),
        "{}",
        plan.refused[1].reason
    );
}

#[tokio::test]
async fn hidden_files_other_files_and_the_job_s_own_are_no_input() {
    let mut world = World::new();
    world.write_input("good.parquet", 5, 5);
    for name in ["_tmp/a.parquet", ".b.parquet", "_c.parquet", "d.csv", "job/attempts/e.parquet"] {
        world.write_input(name, 5, 5);
    }
    world.settings.job.url = world.web("job").display().to_string();
    let plan = world.plan().await;
    assert_eq!(plan.shards.iter().map(|s| s.file.path.as_str()).collect::<Vec<_>>(), ["good.parquet"]);
}

#[tokio::test]
async fn one_file_can_be_the_whole_input() {
    let mut world = World::new();
    world.write_input("a.parquet", 5, 5);
    world.write_input("b.parquet", 5, 5);
    world.settings.input.url = world.web("b.parquet").display().to_string();
    let plan = world.plan().await;
    assert_eq!(plan.shards.iter().map(|s| s.file.path.as_str()).collect::<Vec<_>>(), ["b.parquet"]);
}

#[tokio::test]
async fn an_input_without_a_usable_file_is_an_error_that_says_why() {
    let world = World::new();
    let error = plan(&world.input(), &world.settings).await.unwrap_err();
    assert!(matches!(error, PlanError::NoFiles { .. }), "{error}");
    write_table(&world.web("a.parquet"), &[("x", Arc::new(StringArray::from(vec!["x"])))], 5);
    let error = plan(&world.input(), &world.settings).await.unwrap_err();
    assert!(matches!(error, PlanError::NothingUsable { files: 1, .. }), "{error}");
    assert!(error.to_string().contains("`jpg`"), "{error}");
}

#[tokio::test]
async fn a_missing_key_is_warned_of_once_and_a_large_row_group_by_file() {
    let mut world = World::new();
    world.write_input("a.parquet", 50, 100);
    world.write_input("b.parquet", 5, 100);
    world.settings.input.key = "id".to_owned();
    let warnings = world.plan().await.warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("a.parquet: a row group has 50 rows"), "{warnings:?}");
    assert!(warnings[1].contains("2 of 2 files") && warnings[1].contains("`id`"), "{warnings:?}");
}

#[tokio::test]
async fn columns_of_the_condition_and_pass_through_columns_must_be_there() {
    let mut world = World::new();
    world.write_input("a.parquet", 5, 100);
    world.settings.input.filter = Some("width >= 2 and punsafe < 0.1".to_owned());
    let error = plan(&world.input(), &world.settings).await.unwrap_err().to_string();
    assert!(error.contains("`punsafe` (input.where)"), "{error}");
    world.settings.input.filter = Some("width >=".to_owned());
    assert!(matches!(plan(&world.input(), &world.settings).await.unwrap_err(), PlanError::Where(_)));
    world.settings.input.filter = Some("width >= 2".to_owned());
    world.settings.input.passthrough = vec!["url".to_owned()];
    let error = plan(&world.input(), &world.settings).await.unwrap_err().to_string();
    assert!(error.contains("`url` (input.passthrough)"), "{error}");
}
