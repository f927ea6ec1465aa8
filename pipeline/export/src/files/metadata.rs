//! Objects beside the files of samples that a reader expects: sizes, indexes, descriptions.

use super::mds;
use crate::kinds::Kinds;
use capfilt_schemas::export::{ENERGON, File, Format, SIZES};
use serde_json::json;
use std::collections::BTreeMap;

/// Paths and contents of the objects, which follow from the finished files.
pub(crate) fn metadata(format: Format, kinds: &Kinds, files: &[File]) -> Vec<(String, Vec<u8>)> {
    match format {
        Format::Webdataset => vec![(SIZES.to_owned(), sizes(files))],
        Format::Energon => energon(files),
        Format::Mds => vec![mds::index(kinds, files)],
        Format::Parquet | Format::Captions | Format::Json | Format::Llava | Format::Imagefolder => Vec::new(),
    }
}

fn name(file: &File) -> &str {
    file.path.rsplit('/').next().unwrap_or_default()
}

/// Samples of each tar, by name.
fn counted(files: &[File]) -> BTreeMap<&str, u64> {
    files.iter().map(|file| (name(file), file.pairs)).collect()
}

fn sizes(files: &[File]) -> Vec<u8> {
    serde_json::to_vec_pretty(&counted(files)).expect("sizes are plain data")
}

/// Metadata that `energon prepare` would write, but not its SQLite index of keys: training reads only the
/// index beside each tar. All samples are for training.
fn energon(files: &[File]) -> Vec<(String, Vec<u8>)> {
    let info = serde_json::to_vec_pretty(&json!({"shard_counts": counted(files)}));
    let tars: String = files.iter().map(|file| format!("  - {}\n", name(file))).collect();
    let split = format!("split_parts:\n  train:\n{tars}  val: []\n  test: []\nexclude: []\n");
    let sample = "sample_type:\n  __module__: megatron.energon\n  __class__: CaptioningSample\n\
                  field_map:\n  image: jpg\n  caption: txt\n";
    vec![
        (format!("{ENERGON}/.info.json"), info.expect("counts are plain data")),
        (format!("{ENERGON}/split.yaml"), split.into_bytes()),
        (format!("{ENERGON}/dataset.yaml"), sample.into()),
    ]
}
