use super::*;
use object_store::ObjectStoreExt as _;
use std::{ffi::OsStr, fs, os::unix::fs::symlink};

fn opened(folder: &std::path::Path) -> (Folder, Path) {
    (Folder::new(Arc::default()), Path::from_absolute_path(folder).unwrap())
}

async fn listed(store: &Folder, prefix: &Path) -> Vec<String> {
    let objects: Vec<ObjectMeta> = store.list(Some(prefix)).try_collect().await.unwrap();
    let mut names: Vec<String> =
        objects.iter().map(|meta| meta.location.as_ref()[prefix.as_ref().len() + 1..].to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn no_name_and_no_link_ends_a_listing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir_all(at.join("sub")).unwrap();
    fs::create_dir_all(at.join("o\tdd")).unwrap();
    for name in ["a", "sub/é~1 [2]%25", "no\tte.txt", "no\nte.txt", "o\tdd/b", "x#7"] {
        fs::write(at.join(name), "x").unwrap();
    }
    fs::write(at.join(OsStr::from_bytes(b"caf\xe9.txt")), "x").unwrap();
    symlink(at, at.join("latest")).unwrap();
    symlink("self", at.join("self")).unwrap();
    symlink("../gone", at.join("dangling")).unwrap();
    symlink(at.join("sub"), at.join("linked")).unwrap();

    let (store, prefix) = opened(at);
    assert_eq!(listed(&store, &prefix).await, ["a", "linked/é~1 [2]%25", "sub/é~1 [2]%25"]);
    let passed = store.passed_over.take();
    let named: Vec<(&str, &str)> = passed
        .iter()
        .map(|passed| (passed.name.strip_prefix(&format!("/{prefix}/")).unwrap(), passed.why.as_str()))
        .collect();
    let why = |name: &str| {
        named.iter().find(|(named, _)| *named == name).unwrap_or_else(|| panic!("{name} {named:?}")).1
    };
    for name in ["no\\tte.txt", "no\\nte.txt", "o\\tdd", "o\\tdd/b"] {
        assert!(why(name).contains("control character"), "{name}");
    }
    assert!(why("caf\\xe9.txt").contains("not UTF-8"));
    assert!(why("latest").contains("a link back to"));
    assert!(why("dangling").contains("a link to ../gone, which does not exist"));
    assert!(why("x#7").contains('#') && !why("self").is_empty());
    assert_eq!(named.len(), 9, "{named:?}");

    let here = store.list_with_delimiter(Some(&prefix)).await.unwrap();
    let folders: Vec<&str> = here.common_prefixes.iter().filter_map(Path::filename).collect();
    assert_eq!((here.objects.len(), folders), (1, vec!["linked", "sub"]));
}

#[tokio::test]
async fn a_listed_file_is_in_the_state_a_read_finds() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "content").unwrap();
    let (store, prefix) = opened(folder.path());
    let objects: Vec<ObjectMeta> = store.list(Some(&prefix)).try_collect().await.unwrap();
    assert_eq!(objects, [store.head(&objects[0].location).await.unwrap()]);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let (store, prefix) = opened(&folder.path().join("gone"));
    assert!(listed(&store, &prefix).await.is_empty());
}
