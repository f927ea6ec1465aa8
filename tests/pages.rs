//! The pages for users and maintainers name files that are in the tree.

use crate::support::repo;
use std::{collections::BTreeSet, fs, process::Command};

/// Endings of file names that the pages name.
const ENDINGS: [&str; 5] = [".rs", ".py", ".sh", ".toml", ".md"];

#[test]
fn every_file_of_the_project_that_a_page_names_is_in_the_tree() {
    let tracked = tracked();
    let pages = tracked.iter().filter(|name| is_page(name));
    let mut checked = 0;
    let mut missing = Vec::new();
    for page in pages {
        for name in named_files(&fs::read_to_string(repo().join(page)).unwrap()) {
            checked += 1;
            let is_there = tracked.iter().any(|file| file == &name || file.ends_with(&format!("/{name}")));
            if !is_there {
                missing.push(format!("{page}: {name}"));
            }
        }
    }
    assert!(checked > 100, "the pages name {checked} files");
    assert!(missing.is_empty(), "files that are not in the tree:\n{}", missing.join("\n"));
}

fn is_page(name: &str) -> bool {
    let is_in_docs = name.starts_with("docs/") && name.ends_with(".md");
    is_in_docs || ["README.md", "CONTRIBUTING.md", "AGENTS.md"].contains(&name)
}

/// Names in backticks that look like a file's: a path's end with one of [`ENDINGS`], and no placeholder in
/// it.
fn named_files(text: &str) -> BTreeSet<String> {
    let in_backticks = text.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
    let is_file = |word: &&str| {
        let is_path = word.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c));
        is_path && ENDINGS.iter().any(|ending| word.ends_with(ending) && word.len() > ending.len())
    };
    in_backticks.filter(is_file).map(|word| word.trim_start_matches("../").to_owned()).collect()
}

fn tracked() -> BTreeSet<String> {
    let listed = Command::new("git").args(["ls-files"]).current_dir(repo()).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Folders of a checkout, which an installed program does not have.
const FOLDERS: [&str; 4] = ["configs/", "docs/", "scripts/", "benches/"];

#[test]
fn no_text_of_the_program_sends_its_user_to_a_file_of_a_checkout() {
    let tracked = tracked();
    let sources = tracked.iter().filter(|name| name.contains("src/") && name.ends_with(".rs"));
    let (mut checked, mut found) = (0, Vec::new());
    for source in sources.filter(|name| !name.contains("tests")) {
        checked += 1;
        let text = fs::read_to_string(repo().join(source)).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().map(str::trim) {
            // Doc comments of arguments and of errors are texts of the program.
            let is_comment = line.starts_with("// ") || line.starts_with("//!");
            let is_help = source.starts_with("src/args") || !line.starts_with("///");
            if is_help
                && !is_comment
                && !line.contains("include_str!")
                && FOLDERS.iter().any(|it| line.contains(it))
            {
                found.push(format!("{source}: {line}"));
            }
        }
    }
    for settings in tracked.iter().filter(|name| name.starts_with("configs/") && name.ends_with(".toml")) {
        let text = fs::read_to_string(repo().join(settings)).unwrap();
        let lines = text.lines().filter(|line| FOLDERS.iter().any(|it| line.contains(it)));
        found.extend(lines.map(|line| format!("{settings}: {line}")));
    }
    assert!(checked > 300, "{checked} files");
    assert!(found.is_empty(), "an installed program has no such file:\n{}", found.join("\n"));
}
