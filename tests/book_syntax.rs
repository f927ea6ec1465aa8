//! The promise of every page of the book: the program accepts each command, option and key that a page names,
//! each block of settings is read by the parser of settings, and each block of Python compiles.

use crate::support::{
    book::{Block, blocks, commands, pages, spans},
    capfilt, expect, repo, stdout,
};
use capfilt_schemas::settings::{self, bootstrap::Bootstrap, train};
use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Output},
};

/// Words in capitals that a reader replaces, where the program accepts only some values.
const PLACEHOLDERS: [(&str, &str); 6] = [
    (" TASK", " pretrain"),
    ("--only STATUS", "--only image_unreachable"),
    ("--only CLASS", "--only out_of_memory"),
    ("--metrics …", "--metrics 127.0.0.1:0"),
    (" --manifest N", " --manifest 0"),
    ("…", ""),
];

/// Programs whose options the pages name too.
const OTHER_PROGRAMS: [&str; 5] = ["cargo ", "aws s3api", "sbatch", "systemctl", "--data_path"];

/// Options of recipes that a page names alone: of the Ray recipe.
const OTHER_OPTIONS: [&str; 1] = ["--cpus"];

fn blocks_of(language: &str) -> Vec<Block> {
    let all = pages().into_iter().flat_map(|page| blocks(&page));
    all.filter(|block| block.language() == language).collect()
}

/// Parses a command with the program's own parser: `--help` ends the parsing without an execution, but an
/// unknown command, option or value before it is an error.
fn parse(command: &str) -> Output {
    let command = PLACEHOLDERS.iter().fold(command.to_owned(), |text, (from, to)| text.replace(from, to));
    // The comment and the commands after this one are not arguments.
    let arguments = command.split(" #").next().unwrap().split(" && ").next().unwrap();
    let arguments = arguments.trim().strip_prefix("capfilt").unwrap();
    let script = format!("\"$0\" {arguments} --help");
    let mut bash = Command::new("bash");
    capfilt().get_envs().for_each(|(key, value)| {
        match value {
            Some(value) => bash.env(key, value),
            None => bash.env_remove(key),
        };
    });
    bash.args(["-c", &script, env!("CARGO_BIN_EXE_capfilt")]).output().unwrap()
}

#[test]
fn the_program_accepts_every_command_of_every_page() {
    let mut shown: Vec<(String, String)> = Vec::new();
    for block in blocks_of("sh") {
        expect(Command::new("bash").args(["-n", "-c", &block.code]), 0);
        let of_block = commands(&block).into_iter().map(|command| (block.place.clone(), command));
        shown.extend(of_block);
    }
    let in_text =
        pages().into_iter().flat_map(|page| spans(&page).into_iter().map(move |it| (page.clone(), it)));
    shown.extend(in_text);
    shown.retain(|(_, command)| command.trim_start().starts_with("capfilt "));
    shown.sort_by(|(_, a), (_, b)| a.cmp(b));
    shown.dedup_by(|(_, a), (_, b)| a == b);
    let mut refused = Vec::new();
    for (place, command) in &shown {
        // The text may name an option without its value.
        let is_accepted =
            [command.clone(), format!("{command} 1")].iter().any(|it| parse(it).status.success());
        if !is_accepted {
            refused.push(format!("{place}: {command}\n{}", String::from_utf8_lossy(&parse(command).stderr)));
        }
    }
    println!("{} commands", shown.len());
    assert!(shown.len() > 70, "{} commands", shown.len());
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    for wrong in ["capfilt explian", "capfilt run --cofnig job.toml", "capfilt export --format tar"] {
        assert_eq!(parse(wrong).status.code(), Some(2), "{wrong}: the check sees a wrong word");
    }
}

#[test]
fn every_option_that_a_page_names_is_in_the_help() {
    let help = fs::read_to_string(repo().join("docs/reference/cli.md")).unwrap();
    let known: BTreeSet<&str> = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    let mut named = 0;
    for page in pages() {
        for span in spans(&page) {
            if OTHER_PROGRAMS.iter().any(|program| span.contains(program)) {
                continue;
            }
            let words = span.split(|c: char| c.is_whitespace() || "=,|[]()'\"".contains(c));
            for option in words.filter(|word| word.len() > 2 && word.starts_with("--")) {
                named += 1;
                let is_known = known.contains(option) || OTHER_OPTIONS.contains(&option);
                assert!(is_known, "{page}: `{span}`: no command has {option}");
            }
        }
    }
    println!("{named} options");
    assert!(named > 100, "{named} options");
}

#[test]
fn every_key_that_a_page_names_is_a_setting() {
    let (keys, sections) = keys();
    let mut named = 0;
    for page in pages() {
        for span in spans(&page) {
            let key = span.split(['=', ' ', '[', '*']).next().unwrap();
            let Some((section, name)) = key.split_once('.') else { continue };
            // `job.json` and `model.safetensors` are objects.
            let is_object = ["json", "toml", "safetensors", "rs", ""].contains(&name);
            if sections.contains(section) && !is_object && name.chars().all(|c| c.is_lowercase() || c == '_')
            {
                named += 1;
                assert!(keys.contains(key), "{page}: `{span}` is not a setting");
            }
        }
    }
    println!("{named} keys");
    assert!(named > 60, "{named} keys");
}

/// Keys of `docs/reference/settings.md`, which a test generates from the types, and their sections.
fn keys() -> (BTreeSet<String>, BTreeSet<String>) {
    let page = fs::read_to_string(repo().join("docs/reference/settings.md")).unwrap();
    let (mut keys, mut sections, mut section) = (BTreeSet::new(), BTreeSet::new(), String::new());
    for line in page.lines() {
        if let Some(header) = line.strip_prefix("### `") {
            section = header.trim_matches(['[', ']', '`']).split('.').next().unwrap().to_owned();
            sections.insert(section.clone());
        } else if let Some(key) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) {
            keys.insert(format!("{section}.{key}"));
        }
    }
    assert!(keys.len() > 150, "{keys:?}");
    (keys, sections)
}

#[test]
fn every_block_of_settings_is_read_by_the_parser_of_settings() {
    let blocks = blocks_of("toml");
    for block in &blocks {
        let has = |name: &str| block.code.lines().any(|line| line.trim_start().starts_with(name));
        let read = if has("[loop]") {
            Bootstrap::parse(&block.code, &[]).map(drop)
        } else if has("[run]") {
            let task = match (has("answer_weight"), has("second_image")) {
                (true, _) => train::Task::Vqa,
                (_, true) => train::Task::Nlvr,
                _ => train::Task::Filter,
            };
            train::Training::parse(task, &block.code, &[]).map(drop)
        } else {
            settings::parse(&block.code, &missing(&block.code)).map(drop)
        };
        read.unwrap_or_else(|error| panic!("{}: {error}\n{}", block.place, block.code));
    }
    println!("{} blocks", blocks.len());
    assert!(blocks.len() >= 7, "{} blocks", blocks.len());
    let wrong = "[links]\nfetsch = true\n";
    assert!(settings::parse(wrong, &missing(wrong)).is_err());
}

/// Required keys of a job that a block leaves to the reader.
fn missing(block: &str) -> Vec<String> {
    let all = [
        ("[job]", "url", "job.url=out/job"),
        ("[input]", "url", "input.url=web"),
        ("[models]", "filter", "models.filter=filter"),
        ("[models]", "captioner", "models.captioner=captioner"),
    ];
    let sets = |section: &str, key: &str| {
        let rest = block.split_once(section).map(|(_, rest)| rest.split("\n[").next().unwrap_or_default());
        rest.is_some_and(|lines| lines.lines().any(|line| line.starts_with(key)))
    };
    // Captions of another program take the place of a captioner.
    let is_missing = |section: &str, key: &str| {
        !(sets(section, key) || key == "captioner" && sets("[captioner]", "endpoint"))
    };
    all.iter()
        .filter(|(section, key, _)| is_missing(section, key))
        .map(|(.., entry)| (*entry).to_owned())
        .collect()
}

#[test]
fn every_block_of_python_compiles() {
    let blocks = blocks_of("python");
    let code: Vec<[&str; 2]> = blocks.iter().map(|block| [&block.place[..], &block.code]).collect();
    let script = "import json, sys\n\
                  for place, code in json.load(sys.stdin): compile(code, place, 'exec')\n\
                  print('compiled')";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blocks.json");
    fs::write(&file, serde_json::to_vec(&code).unwrap()).unwrap();
    let mut python = Command::new(repo().join(".venv/bin/python"));
    let said = stdout(&expect(python.args(["-c", script]).stdin(fs::File::open(file).unwrap()), 0));
    assert!(said.contains("compiled") && blocks.len() > 12, "{} blocks", blocks.len());
}
