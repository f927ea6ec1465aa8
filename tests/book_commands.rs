//! The promise of the book's first pages: their commands run, in the order of the pages, in one folder, and
//! print what the pages show.

use crate::support::{
    book::{Block, blocks, interpreter},
    expect, repo, stdout,
};
use std::{fs, os::unix::fs::symlink, path::Path, process::Output};

/// Pages whose blocks run, in this order: later pages continue the jobs of the earlier ones. The other pages
/// run in `book_examples.rs`.
pub const PAGES: [&str; 4] =
    ["docs/quick-start.md", "docs/thresholds.md", "docs/recut.md", "docs/recipes.md"];

/// Blocks marked `no-run`, on all pages: a wheel, the first build, a bucket, the network.
const NOT_RUN: usize = 3;

/// Share by which a printed number may differ from the page's, because machines round scores differently. A
/// count may differ by three in any case, and a share by 0.01.
const TOLERANCE: f64 = 0.05;

#[test]
fn the_commands_of_the_first_pages_run_and_print_what_the_pages_show() {
    let folder = tempfile::tempdir().unwrap();
    symlink(repo().join("demo"), folder.path().join("demo")).unwrap();
    let programs = folder.path().join(".programs");
    fs::create_dir(&programs).unwrap();
    symlink(env!("CARGO_BIN_EXE_capfilt"), programs.join("capfilt")).unwrap();
    let pages: Vec<Vec<Block>> = PAGES.iter().map(|page| blocks(page)).collect();
    let blocks: Vec<&Block> = pages.iter().flatten().collect();
    assert_eq!(blocks.iter().filter(|block| block.info.ends_with(",no-run")).count(), NOT_RUN);
    let (mut ran, mut shown) = (0, 0);
    for (at, block) in blocks.iter().enumerate() {
        let Some(output) = execute(block, folder.path(), &programs) else { continue };
        ran += 1;
        assert!(!stdout(&output).contains("nan"), "{}: {}", block.place, stdout(&output));
        if let Some(text) = blocks.get(at + 1).filter(|next| next.is("text")) {
            shown += 1;
            assert_alike(&text.code, &stdout(&output), &text.place);
        }
    }
    println!("{ran} blocks ran, {shown} outputs were compared");
    assert!(ran > 10 && shown >= 2, "{ran} blocks ran, {shown} outputs were compared");
}

/// Runs a block of commands or of Python; `None` for other blocks.
fn execute(block: &Block, folder: &Path, programs: &Path) -> Option<Output> {
    if !["sh", "python"].contains(&&block.info[..]) {
        return None;
    }
    println!("{}\n{}", block.place, block.code);
    Some(expect(&mut interpreter(block.language(), &block.code, folder, programs), 0))
}

/// Compares word by word; numbers within [`TOLERANCE`], and rows of `#` not at all.
fn assert_alike(shown: &str, printed: &str, place: &str) {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| c.is_whitespace() || "│─┌┐└┘├┤┬┴┼(),[]".contains(c));
        words.filter(|word| !word.is_empty() && !word.starts_with('#')).map(str::to_owned).collect()
    };
    let (shown_words, printed_words) = (words(shown), words(printed));
    let is_alike = |(a, b): (&String, &String)| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(shown), Ok(printed)) => {
            let least = if a.contains('.') { 0.01 } else { 3.0 };
            (shown - printed).abs() <= f64::max(least, TOLERANCE * shown.abs())
        }
        _ => a == b,
    };
    let equal =
        shown_words.len() == printed_words.len() && shown_words.iter().zip(&printed_words).all(is_alike);
    assert!(equal, "{place} shows\n{shown}\nand this was printed:\n{printed}");
}
