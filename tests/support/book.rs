//! Pages of the book, and what they show: fenced blocks, and code in the text.

use super::{capfilt, expect, repo, stdout};
use std::{fs, path::Path, process::Command};

/// A fenced block of a page.
#[derive(Debug)]
pub struct Block {
    /// Page and line of the fence.
    pub place: String,
    /// `sh`, `python`, `text`, with attributes: `sh,no-run`.
    pub info: String,
    pub code: String,
}

impl Block {
    pub fn is(&self, language: &str) -> bool {
        self.info == language
    }

    /// The language without attributes.
    pub fn language(&self) -> &str {
        self.info.split(',').next().unwrap_or_default()
    }
}

/// README.md, and the pages of `docs/SUMMARY.md` in their order, without those that are generated.
pub fn pages() -> Vec<String> {
    let summary = fs::read_to_string(repo().join("docs/SUMMARY.md")).unwrap();
    let links = summary.lines().filter_map(|line| line.rsplit_once("](")?.1.strip_suffix(')'));
    let written = links.filter(|page| !["reference/cli.md", "reference/settings.md"].contains(page));
    std::iter::once("README.md".to_owned()).chain(written.map(|page| format!("docs/{page}"))).collect()
}

/// Fenced blocks of a page, without the indentation of a list.
pub fn blocks(page: &str) -> Vec<Block> {
    let (mut found, mut open): (Vec<Block>, Option<(Block, usize)>) = (Vec::new(), None);
    for (number, line) in text(page).lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(info)) => {
                let place = format!("{page}:{}", number + 1);
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

/// Code in backticks in the text of a page, outside of fenced blocks; a code that continues in the next line
/// is one code.
pub fn spans(page: &str) -> Vec<String> {
    let (mut prose, mut is_fenced) = (String::new(), false);
    for line in text(page).lines() {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        if !is_fenced && !is_fence {
            prose += line.trim_start();
            prose.push(' ');
        }
    }
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Commands of a block, each with its continued lines, and with the lines of the text that it reads.
pub fn commands(block: &Block) -> Vec<String> {
    let (mut found, mut command, mut end) = (Vec::new(), String::new(), None);
    for line in block.code.lines() {
        if end.is_none() {
            end = line.split_once("<<'").and_then(|(_, rest)| Some(rest.split_once('\'')?.0.to_owned()));
        } else if end.as_deref() == Some(line) {
            end = None;
        }
        command += line;
        if end.is_none() && !line.ends_with('\\') {
            found.push(std::mem::take(&mut command));
        } else {
            command.push('\n');
        }
    }
    found.retain(|command| !command.trim().is_empty());
    found
}

fn text(page: &str) -> String {
    fs::read_to_string(repo().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// Bash or Python with a code of a page, in a folder. `programs` has the program under test; Python has the
/// readers of training programs, the package `capfilt` and the packages of the tests. The Hub is off.
pub fn interpreter(language: &str, code: &str, folder: &Path, programs: &Path) -> Command {
    let python = repo().join(".readers/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py readers`", python.display());
    let mut command = Command::new(if language == "python" { python } else { "bash".into() });
    if language == "sh" {
        command.args(["-euo", "pipefail"]);
    }
    command.arg("-c").arg(code).current_dir(folder);
    for (key, value) in capfilt().get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    let path = std::env::var("PATH").unwrap();
    let readers = repo().join(".readers/bin");
    command.env("PATH", format!("{}:{}:{path}", programs.display(), readers.display()));
    command.env("PYTHONPATH", python_path()).env("CAPFILT_PROGRAM", env!("CARGO_BIN_EXE_capfilt"));
    command.envs(["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"].map(|variable| (variable, "1")));
    command.env("HF_HOME", folder.join(".hub"));
    command
}

/// The Python package, and the packages of the tests (DuckDB, transformers), which the readers (torch) lack.
fn python_path() -> String {
    let script = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let tests = stdout(&expect(Command::new(repo().join(".venv/bin/python")).args(["-c", script]), 0));
    format!("{}:{}", repo().join("python").display(), tests.trim())
}
