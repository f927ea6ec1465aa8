//! The promise of the book: mdBook builds it, every page of docs is in it, and every link leads to a page, an
//! anchor or a file of the repository.

use crate::support::{
    expect, repo,
    tools::{MDBOOK, need},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn every_link_of_the_book_leads_to_a_page_an_anchor_or_a_file() {
    if !need(&MDBOOK) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book");
    expect(Command::new("python3").arg(repo().join("scripts/book.py")).arg(&book), 0);
    let pages: BTreeMap<PathBuf, String> = files(&book, "html")
        .into_iter()
        .map(|path| (path.canonicalize().unwrap(), fs::read_to_string(path).unwrap()))
        .collect();
    let (mut checked, mut broken) = (0, Vec::new());
    for (page, text) in &pages {
        for link in attributes(text, "href").chain(attributes(text, "src")) {
            let is_outside =
                link.contains("://") || ["mailto:", "javascript:"].iter().any(|s| link.starts_with(s));
            if !is_outside {
                checked += 1;
                broken.extend(
                    fault(page, link, &pages).map(|why| format!("{}: {link}: {why}", page.display())),
                );
            }
        }
    }
    println!("{checked} links of {} pages", pages.len());
    assert!(checked > 1_000 && pages.len() > 20, "{checked} links of {} pages", pages.len());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Reason why a relative link leads nowhere.
fn fault(page: &Path, link: &str, pages: &BTreeMap<PathBuf, String>) -> Option<String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let path = path.split('?').next().unwrap();
    let target = if path.is_empty() { page.to_owned() } else { page.parent().unwrap().join(path) };
    let Ok(target) = target.canonicalize() else { return Some("no such file".to_owned()) };
    let target = if target.is_dir() && target.join("index.html").exists() {
        target.join("index.html")
    } else {
        target
    };
    let text = pages.get(&target).filter(|_| !anchor.is_empty())?;
    let is_there = attributes(text, "id").any(|id| id == anchor);
    (!is_there).then(|| "no such anchor".to_owned())
}

/// Values of an attribute in an HTML text.
fn attributes<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let start = format!(" {name}=\"");
    let found: Vec<usize> = text.match_indices(&start).map(|(at, start)| at + start.len()).collect();
    found.into_iter().filter_map(|at| text[at..].split('"').next())
}

#[test]
fn every_page_of_docs_is_in_the_book() {
    let docs = repo().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed: BTreeSet<&str> =
        summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let there = files(&docs, "md");
    let there: BTreeSet<&str> = there
        .iter()
        .map(|path| path.strip_prefix(&docs).unwrap().to_str().unwrap())
        .filter(|name| *name != "SUMMARY.md")
        .collect();
    assert_eq!(listed, there, "docs/SUMMARY.md lists the pages of docs");
}

#[test]
fn files_that_the_front_pages_link_are_in_the_repository() {
    for page in ["README.md", "CONTRIBUTING.md", "AGENTS.md"] {
        let text = fs::read_to_string(repo().join(page)).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let links: Vec<&str> = links.filter(|link| !link.contains("://")).collect();
        assert!(!links.is_empty(), "{page}");
        for link in links {
            let path = repo().join(link.split('#').next().unwrap());
            assert!(path.exists(), "{page} links {link}");
        }
    }
}

/// Files below a folder with an ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
    found
}
