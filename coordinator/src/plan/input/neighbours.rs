//! Parquet files beside tars: img2dataset writes `00000.parquet` with the metadata of the samples of
//! `00000.tar`, failed ones included.

use capfilt_schemas::plan::{InputFile, InputFormat};
use std::collections::{BTreeMap, HashMap};

/// Path without the end that names the format.
fn stem(path: &str) -> &str {
    let ends = [".tar.gz", ".tgz", ".tar", ".parquet"];
    ends.iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path)
}

/// Removes Parquet files that only describe the tar beside them, and returns each by the path of its tar.
pub(super) fn take_out(files: &mut Vec<InputFile>) -> BTreeMap<String, InputFile> {
    let is_parquet = |file: &InputFile| InputFormat::of(&file.path) == InputFormat::Parquet;
    let tars = files.iter().filter(|file| !is_parquet(file));
    let tars: HashMap<String, String> =
        tars.map(|file| (stem(&file.path).to_owned(), file.path.clone())).collect();
    let mut neighbours = BTreeMap::new();
    files.retain(|file| match tars.get(stem(&file.path)) {
        Some(tar) if is_parquet(file) => {
            neighbours.insert(tar.clone(), file.clone());
            false
        }
        _ => true,
    });
    neighbours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parquet_file_beside_its_tar_is_not_an_input_file() {
        let file = |path: &str| InputFile { path: path.to_owned(), etag: String::new(), bytes: 1 };
        let names = ["a/0.parquet", "a/0.tar", "a/1.parquet", "b/0.parquet", "b/2.parquet", "b/2.tar.gz"];
        let mut files = names.map(file).to_vec();
        let neighbours = take_out(&mut files);
        let left: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(left, ["a/0.tar", "a/1.parquet", "b/0.parquet", "b/2.tar.gz"]);
        let of = |tar: &str| neighbours[tar].path.as_str();
        assert_eq!((of("a/0.tar"), of("b/2.tar.gz"), neighbours.len()), ("a/0.parquet", "b/2.parquet", 2));
    }
}
