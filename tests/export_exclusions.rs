//! Rows that an export leaves out on request: take-down lists and near-duplicates; and counts of licences.

use crate::support::{
    Job, capfilt, expect,
    exports::{count, export, files, record, samples, six_formats},
    python, stderr, stdout,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Counts whose sum is the number of pairs that were read.
const PARTS: [&str; 9] = [
    "human",
    "web",
    "synthetic",
    "duplicates",
    "unusable",
    "bad_images",
    "below_min_itm",
    "excluded",
    "near_duplicates",
];

fn assert_balance(record: &Value) {
    assert_eq!(PARTS.map(|name| count(record, name)).iter().sum::<u64>(), count(record, "read"), "{record}");
}

#[test]
fn rows_of_a_take_down_list_are_left_out_counted_and_the_record_names_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let all = record(&mut export(six_formats(), "webdataset", &at("all")));
    let image = samples(&at("all"))
        .into_iter()
        .find(|sample| sample["record"]["key"] == "w7")
        .map(|sample| sample["image"].as_str().unwrap().to_owned())
        .unwrap();
    // A URL, a key of a human row, the SHA-256 of an image, and two entries of no row.
    let list = format!("https://example.org/3\nh2-first\n{image}\nhttps://example.org/nowhere\nw-none\n");
    fs::write(at("list.txt"), list).unwrap();
    for format in ["webdataset", "parquet", "json"] {
        let made = record(export(six_formats(), format, &at(format)).arg("--exclude").arg(at("list.txt")));
        assert_balance(&made);
        assert_eq!((count(&made, "excluded"), &made["unmatched_exclusions"]), (5, &json!(2)), "{made}");
        assert_eq!(count(&made, "read"), count(&all, "read"));
        let of = &made["options"]["exclude"][0];
        assert_eq!((&of["entries"], of["sha256"].as_str().unwrap().len()), (&json!(5), 64), "{made}");
        assert_eq!(made["version"], json!(3), "{made}");
    }
    let keys: BTreeSet<String> = samples(&at("webdataset"))
        .iter()
        .map(|sample| sample["record"]["key"].as_str().unwrap().to_owned())
        .collect();
    assert!(!keys.contains("w3") && !keys.contains("w7") && !keys.contains("h2-first"));
    assert!(keys.contains("w4") && keys.contains("h2-second") && keys.len() == 60 + 90 - 3, "{}", keys.len());
    assert_eq!(files(&at("json/data/images")).len(), 105 - 2, "images of excluded rows are not written");
    let mut again = export(six_formats(), "webdataset", &at("webdataset"));
    assert!(stderr(&expect(&mut again, 2)).contains("another --exclude"));
    fs::write(at("list.txt"), "w1\n").unwrap();
    let said = stderr(&expect(again.arg("--exclude").arg(at("list.txt")), 2));
    assert!(said.contains("another --exclude"), "{said}");
    let card = fs::read_to_string(at("webdataset/README.md")).unwrap();
    assert!(card.contains("exclusion list: 5 entries"), "{card}");
}

#[test]
fn a_table_of_urls_keys_and_digests_leaves_out_the_same_rows_as_a_text_list() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let all = export(six_formats(), "webdataset", &at("all")).output().unwrap();
    assert!(all.status.success());
    let image = samples(&at("all")).into_iter().find(|sample| sample["record"]["key"] == "w7").unwrap();
    let image = image["image"].as_str().unwrap().to_owned();
    fs::write(at("list.txt"), format!("https://example.org/3\nh2-first\n{image}\nw-none\n")).unwrap();
    let csv = format!("day,url,key,sha256\n1,https://example.org/3,h2-first,\n2,,w-none,{image}\n");
    fs::write(at("list.csv"), &csv).unwrap();
    let script = "import sys, pyarrow.csv as csv, pyarrow.parquet as pq\n\
                  pq.write_table(csv.read_csv(sys.argv[1]), sys.argv[2])";
    let mut python = std::process::Command::new(crate::support::repo().join(".venv/bin/python"));
    expect(python.args(["-c", script]).arg(at("list.csv")).arg(at("list.parquet")), 0);
    let left = |list: &str| {
        let to = at(list).with_extension("export");
        let made = record(export(six_formats(), "webdataset", &to).arg("--exclude").arg(at(list)));
        assert_balance(&made);
        assert_eq!(made["options"]["exclude"][0]["entries"], json!(4), "{list}: {made}");
        let keys = samples(&to).into_iter().map(|sample| sample["record"]["key"].clone().to_string());
        let keys: BTreeSet<String> = keys.collect();
        fs::remove_dir_all(to).unwrap();
        (count(&made, "excluded"), made["unmatched_exclusions"].clone(), keys)
    };
    let expected = left("list.txt");
    assert_eq!((expected.0, &expected.1), (5, &json!(1)));
    assert_eq!(left("list.csv"), expected);
    assert_eq!(left("list.parquet"), expected);
}

#[test]
fn a_list_that_cannot_be_read_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (to, list) = (folder.path().join("export"), folder.path().join("list.parquet"));
    fs::write(&list, b"PAR1\xff\xfe").unwrap();
    let table = folder.path().join("list.csv");
    fs::write(&table, "uri,image\nhttps://example.org/3,x\n").unwrap();
    let refused =
        |list: &Path| stderr(&expect(export(six_formats(), "json", &to).arg("--exclude").arg(list), 2));
    assert!(refused(&list).contains("one entry per line"), "{}", refused(&list));
    assert!(refused(&table).contains("none of the columns url, key and sha256"), "{}", refused(&table));
    assert!(refused(Path::new("/nowhere")).contains("/nowhere"));
    assert!(!to.exists());
}

/// Two folders of human pairs: pictures, and the same pictures in other formats, sizes and qualities.
fn similar(folder: &Path) -> [PathBuf; 2] {
    expect(python("tests/export.py").arg("similar").arg(folder), 0);
    ["first", "second"].map(|name| folder.join(name))
}

#[test]
fn of_nearly_equal_images_the_first_source_keeps_its_pairs_in_every_format_and_order() {
    let folder = tempfile::tempdir().unwrap();
    let sources = similar(folder.path());
    let export = |name: &str, format: &str, sources: [&PathBuf; 2], options: &[&str]| {
        let mut command = capfilt();
        command.args(["export", "--json", "--format", format, "--to"]).arg(folder.path().join(name));
        sources.iter().for_each(|source| {
            command.arg("--human").arg(source);
        });
        record(command.args(options))
    };
    let in_order = [&sources[0], &sources[1]];
    let all = export("all", "webdataset", in_order, &[]);
    assert_eq!((count(&all, "samples"), count(&all, "near_duplicates")), (70, 0), "{all}");
    for (name, format, options) in [
        ("tars", "webdataset", &["--dedup-images", "8"][..]),
        ("off", "webdataset", &["--dedup-images", "8", "--shuffle", "off"]),
        ("lists", "json", &["--dedup-images", "8"]),
    ] {
        let made = export(name, format, in_order, options);
        assert_balance(&made);
        assert_eq!((count(&made, "samples"), count(&made, "near_duplicates")), (40, 30), "{name}: {made}");
    }
    for name in ["tars", "off"] {
        let texts = samples(&folder.path().join(name));
        assert!(texts.iter().all(|it| it["text"].as_str().unwrap().starts_with("first")), "{name}");
    }
    assert_eq!(files(&folder.path().join("lists/data/images")).len(), 40, "images of no entry are removed");
    let turned = export("turned", "webdataset", [&sources[1], &sources[0]], &["--dedup-images", "8"]);
    assert_eq!(count(&turned, "near_duplicates"), 30, "{turned}");
    let texts = samples(&folder.path().join("turned"));
    assert_eq!(texts.iter().filter(|it| it["text"].as_str().unwrap().starts_with("second")).count(), 30);
}

#[test]
fn near_duplicates_of_human_images_are_found_among_a_job_s_by_the_hashes_of_its_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = similar(folder.path());
    let job = Job::over(first.to_str().unwrap());
    let job = job.set(&["filter.web_threshold=0.0", "filter.synthetic_threshold=0.0"]);
    job.run();
    let export = |name: &str, bits: &str| {
        let mut command = capfilt();
        command.args([
            "export",
            "--json",
            "--format",
            "webdataset",
            "--dedup-images",
            bits,
            "--job",
            &job.url,
        ]);
        record(command.arg("--human").arg(&second).arg("--to").arg(folder.path().join(name)))
    };
    let made = export("export", "8");
    assert_balance(&made);
    // Human pairs are read first, so the job's images are the near-duplicates.
    let texts = count(&made, "web") + count(&made, "synthetic");
    assert_eq!((count(&made, "human"), count(&made, "near_duplicates")), (30, 3 * texts), "{made}");
    let keys: BTreeSet<String> = samples(&folder.path().join("export"))
        .iter()
        .map(|sample| sample["record"]["key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys.iter().filter(|key| key.starts_with("first")).count(), 10, "{keys:?}");
}

#[test]
fn licences_are_counted_in_the_record_the_card_and_the_croissant_description() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let web = |name: &str, column: &str| {
        let mut command = capfilt();
        command.args(["export", "--format", "parquet", "--json", "--job", &six_formats().job.url, "--to"]);
        command.arg(at(name)).args(["--license-column", column]);
        command
    };
    let made = record(&mut web("web", "licence"));
    assert_eq!(made["licences"], json!({"": 40, "cc": 80}), "{made}");
    let card = fs::read_to_string(at("web/README.md")).unwrap();
    assert!(card.contains("| `cc` | 80 |") && card.contains("| without a licence | 40 |"), "{card}");
    let about: Value = serde_json::from_slice(&fs::read(at("web/croissant.json")).unwrap()).unwrap();
    assert_eq!((&about["license"], &about["@type"]), (&json!(["cc"]), &json!("sc:Dataset")));
    let files = about["distribution"].as_array().unwrap();
    assert_eq!(files.len(), made["files"].as_array().unwrap().len() + 1, "{about}");
    assert_eq!(files[0]["sha256"], made["files"][0]["sha256"]);
    let fields = about["recordSet"][0]["field"].as_array().unwrap();
    assert!(fields.iter().any(|field| field["dataType"] == "sc:ImageObject"), "{about}");
    let said = stderr(&expect(&mut web("other", "licens"), 2));
    assert!(said.contains("`licens`") && said.contains("input.passthrough"), "{said}");
    assert!(!at("other").exists());
    // Every source needs the column.
    let said =
        stderr(&expect(export(six_formats(), "json", &at("both")).args(["--licence-column", "licence"]), 2));
    assert!(said.contains("`licence`") && said.contains("--licence-column"), "{said}");
}

#[test]
fn the_summary_says_how_many_entries_matched_no_row() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("list"), "w1\nw2\nw2\nnothing\n").unwrap();
    let mut command = capfilt();
    command.args(["export", "--format", "json", "--job", &six_formats().job.url, "--exclude"]);
    command.arg(folder.path().join("list")).arg("--to").arg(folder.path().join("export"));
    let said = stdout(&expect(command.args(["--dedup-images", "0"]), 0));
    assert!(said.contains("4 pairs match the exclusion lists") && said.contains("1 match no row"), "{said}");
    assert!(said.contains("within 0 bits of an earlier image"), "{said}");
}
