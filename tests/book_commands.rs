//! The promise of the book's first pages: their commands run, in the order of the pages, in one folder, and
//! print what the pages show.

use crate::support::{capfilt, expect, repo, stdout};
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

/// Pages whose blocks run, in this order: later pages continue the jobs of the earlier ones.
const PAGES: [&str; 3] = ["quick-start.md", "thresholds.md", "recipes.md"];

/// Blocks marked `no-run`, on all pages: a wheel, the first build, a bucket, the network.
const NOT_RUN: usize = 3;

/// Share by which a printed number may differ from the page's, because machines round scores differently. A
/// count may differ by three in any case, and a share by 0.01.
const TOLERANCE: f64 = 0.05;

/// A fenced block of a page.
#[derive(Debug)]
struct Block {
    place: String,
    /// `sh`, `python`, `text`, with attributes: `sh,no-run`.
    info: String,
    code: String,
}

impl Block {
    fn is(&self, language: &str) -> bool {
        self.info == language
    }
}

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
    let python = repo().join(".readers/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py readers`", python.display());
    let mut command = match &block.info[..] {
        "sh" => Command::new("bash"),
        "python" => Command::new(python),
        _ => return None,
    };
    println!("{}\n{}", block.place, block.code);
    if block.is("sh") {
        command.args(["-euo", "pipefail"]);
    }
    command.arg("-c").arg(&block.code).current_dir(folder);
    for (key, value) in capfilt().get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", programs.display()));
    command.env("PYTHONPATH", python_path()).env("CAPFILT_PROGRAM", env!("CARGO_BIN_EXE_capfilt"));
    command.envs(["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"].map(|variable| (variable, "1")));
    command.env("HF_HOME", folder.join(".hub"));
    Some(expect(&mut command, 0))
}

/// The Python package, and the packages of the tests (DuckDB, transformers), which the readers (torch) lack.
fn python_path() -> String {
    let script = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let tests = stdout(&expect(Command::new(repo().join(".venv/bin/python")).args(["-c", script]), 0));
    format!("{}:{}", repo().join("python").display(), tests.trim())
}

/// Fenced blocks of a page, without the indentation of a list.
fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(repo().join("docs").join(page)).unwrap();
    let (mut found, mut open): (Vec<Block>, Option<(Block, usize)>) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(info)) => {
                let place = format!("docs/{page}:{}", number + 1);
                open = Some((Block { place, info: info.to_owned(), code: String::new() }, indent));
            }
            (Some(_), Some(_)) => found.extend(open.take().map(|(block, _)| block)),
            (Some((block, indent)), None) => {
                block.code += line.get(*indent..).unwrap_or_default();
                block.code.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a block has no end");
    found
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
