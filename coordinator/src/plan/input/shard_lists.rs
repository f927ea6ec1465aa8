//! Lists of shards beside tars: the index of webdataset's `wids`, which has the number of samples of each
//! tar. With it the plan need not read tars in a bucket.

use crate::plan::contents::Listed;
use capfilt_store::{Location, without_secrets};
use futures::{StreamExt as _, stream};
use object_store::ObjectStoreExt as _;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Largest list that is read: some hundred thousand tars.
const MOST_BYTES: u64 = 32 << 20;

/// Most JSON files of a folder that may be a list. More of them are metadata of something else.
const MOST_IN_FOLDER: usize = 8;

/// Most files that are read as lists, those of outer folders first. An input has a few lists; more files are
/// metadata, and each costs a request.
const MOST_LISTS: usize = 64;

/// Lists that are read at the same time; memory holds at most 128 MiB of them.
const READS_AT_ONCE: usize = 4;

/// JSON files of a listing, by folder.
#[derive(Debug, Default)]
pub(super) struct Candidates(BTreeMap<String, Vec<String>>);

/// The list of `widsindex create`.
#[derive(Deserialize)]
struct ShardList {
    shardlist: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    url: String,
    nsamples: u64,
    filesize: Option<u64>,
}

impl Candidates {
    /// Adds an object if its name and size may be those of a list. img2dataset's `00000_stats.json` is not a
    /// list.
    pub fn add(&mut self, path: &str, bytes: u64) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name.ends_with(".json") && !name.ends_with("_stats.json") && bytes <= MOST_BYTES {
            self.0.entry(folder.to_owned()).or_default().push(path.to_owned());
        }
    }

    /// Entries of all lists, by the path of the tar. A list lies beside tars, or where the input begins.
    /// Another file, or one that cannot be read, has no entries: the plan reads the tars instead.
    pub async fn read(self, input: &Location, tars: &[&str]) -> BTreeMap<String, Listed> {
        let folder = |path: &str| path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let folders: BTreeSet<String> = tars.iter().map(|tar| folder(tar)).chain([String::new()]).collect();
        let is_possible = |name: &String, all: &Vec<_>| all.len() <= MOST_IN_FOLDER && folders.contains(name);
        let few = self.0.into_iter().filter(|(name, all)| !tars.is_empty() && is_possible(name, all));
        let lists = stream::iter(few.flat_map(|(_, all)| all).take(MOST_LISTS)).map(async |path| {
            let bytes = input.store.get(&input.path_of(&path)).await.ok()?.bytes().await.ok()?;
            let ShardList { shardlist } = serde_json::from_slice(&bytes).ok()?;
            Some((folder(&path), shardlist))
        });
        let lists: Vec<_> = lists.buffered(READS_AT_ONCE).filter_map(std::future::ready).collect().await;
        lists.iter().flat_map(|(folder, list)| list.iter().map(|entry| entry.in_folder(folder))).collect()
    }
}

impl Entry {
    /// The tar's path below the input. A list names tars by paths from its own folder, or by URLs, of which
    /// the last part counts.
    fn in_folder(&self, folder: &str) -> (String, Listed) {
        let url = without_secrets(&self.url);
        let name = match url.split_once("://") {
            Some((_, rest)) => rest.rsplit('/').next().unwrap_or(rest),
            None => url.trim_start_matches("./"),
        };
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        (path, Listed { rows: self.nsamples, bytes: self.filesize })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tars_of_a_list_are_those_in_its_folder() {
        let entry = |url: &str| Entry { url: url.to_owned(), nsamples: 3, filesize: None };
        let path = |url: &str, folder: &str| entry(url).in_folder(folder).0;
        assert_eq!(path("0.tar", ""), "0.tar");
        assert_eq!(path("./0.tar", "a/b"), "a/b/0.tar");
        assert_eq!(path("train/0.tar", "a"), "a/train/0.tar");
        assert_eq!(path("https://user:word@host/x/0.tar", "a"), "a/0.tar");
    }

    #[test]
    fn a_folder_full_of_json_has_no_list() {
        let mut found = Candidates::default();
        ["a/index.json", "a/0_stats.json", "a/0.txt"].iter().for_each(|path| found.add(path, 10));
        found.add("a/large.json", MOST_BYTES + 1);
        assert_eq!(found.0["a"], ["a/index.json"]);
    }
}
