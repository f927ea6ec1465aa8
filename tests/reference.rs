//! The reference pages agree with the program. Generated pages are written again with `CAPFILT_UPDATE=1 cargo
//! test --release --test program reference::`.

use crate::support::{capfilt, expect, repo, stdout};
use capfilt_coordinator::metrics::Metrics;
use capfilt_schemas::{
    commit, export,
    failure::{self, FailureClass},
    job, ledger, manifest, pairs, plan, quarantine, queue_protocol, retry, self_test,
    status::{RowStatus, TextStatus},
};
use std::{collections::BTreeSet, fmt::Write as _, fs};

/// Columns to which the help is cut: the pages have lines of at most 110.
const COLUMNS: usize = 105;

/// Compares a generated page with the one in docs, or writes it.
fn hold(name: &str, now: &str) {
    let path = repo().join("docs").join(name);
    if std::env::var_os("CAPFILT_UPDATE").is_some() {
        fs::write(&path, now).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    let first = written.lines().zip(now.lines()).find(|(then, now)| then != now);
    assert!(written == now, "CAPFILT_UPDATE=1 writes {name} again; first difference: {first:?}");
}

#[test]
fn the_page_of_the_command_line_is_the_help_of_every_command() {
    let mut page = String::from(
        "# Command line\n\nThis page is generated from `--help`; a test holds it. Every command has `--help` \
         and `--log-format`, listed\nonce. Exit codes: [failures](../failures.md).\n",
    );
    let mut commands = 0;
    describe(&mut Vec::new(), &mut page, &mut commands);
    println!("{commands} commands");
    assert!(commands > 25, "{commands} commands");
    hold("reference/cli.md", &page);
}

/// Adds the help of a command and of its subcommands.
fn describe(command: &mut Vec<String>, page: &mut String, commands: &mut usize) {
    *commands += 1;
    let help = stdout(&expect(capfilt().args(&*command).arg("--help"), 0));
    let title = [&["capfilt".to_owned()][..], command].concat().join(" ");
    write!(page, "\n## {title}\n\n```text\n").unwrap();
    let listed = if command.is_empty() { help.clone() } else { without_common_options(&help) };
    listed.trim_end().lines().for_each(|line| wrap(line, page));
    page.push_str("```\n");
    for name in subcommands(&help) {
        command.push(name);
        describe(command, page, commands);
        command.pop();
    }
}

/// The help without the options that every command has.
fn without_common_options(help: &str) -> String {
    let (mut kept, mut is_common) = (String::new(), false);
    for line in help.lines() {
        let option = line.trim_start();
        if option.starts_with("--log-format") || option.starts_with("-h, --help") {
            is_common = true;
        } else if option.starts_with('-') && !option.starts_with("- ")
            || option.len() == line.len() && !option.is_empty()
        {
            is_common = false;
        }
        if !is_common {
            kept += line;
            kept.push('\n');
        }
    }
    kept.trim_end().trim_end_matches("Options:").to_owned()
}

/// Names in the list of commands; `help` is left out.
fn subcommands(help: &str) -> Vec<String> {
    let list =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

/// Breaks a line between words; the rest is indented as the description in its line.
fn wrap(line: &str, out: &mut String) {
    let start = line.len() - line.trim_start().len();
    let description =
        line[start..].find("  ").map_or(start, |at| line.len() - line[start + at..].trim_start().len());
    let mut column = 0;
    let mut written = String::new();
    for (at, word) in line.split(' ').enumerate() {
        if column + 1 + word.len() > COLUMNS && column > description {
            write!(written, "\n{}{word}", " ".repeat(description)).unwrap();
            column = description + word.len();
        } else {
            let space = if at == 0 { "" } else { " " };
            write!(written, "{space}{word}").unwrap();
            column += space.len() + word.len();
        }
    }
    writeln!(out, "{}", written.trim_end()).unwrap();
}

#[test]
fn the_page_of_the_metrics_has_the_families_that_a_process_serves() {
    let source = include_str!("../coordinator/src/metrics.rs");
    let docs: Vec<&str> = source.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let docs: Vec<&str> = docs.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let (intro, table) = docs.split_at(docs.iter().position(|line| line.starts_with('|')).unwrap());
    let page = format!(
        "# Metrics\n\n`capfilt run --metrics 127.0.0.1:9100` and `capfilt worker --metrics …` serve them at \
         `/metrics`, in version\n0.0.4 of Prometheus' text format. This page is generated, and a test holds \
         it.\n\n{}\n\n{}\n",
        intro[2..].join("\n").trim(),
        table.join("\n").trim(),
    );
    hold("reference/metrics.md", &page);
    let served = Metrics::start().page();
    let served: BTreeSet<&str> =
        served.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(first_cells(&page).into_iter().collect::<BTreeSet<_>>(), served);
}

#[test]
fn every_failure_class_and_status_has_a_row_on_the_page_of_failures() {
    let page = fs::read_to_string(repo().join("docs/failures.md")).unwrap();
    let listed = |set: &str| {
        let (_, rest) = page.split_once(&format!("<!-- {set} -->")).unwrap();
        first_cells(rest.split_once(&format!("<!-- /{set} -->")).unwrap().0)
    };
    let names = |all: &mut dyn Iterator<Item = &'static str>| all.collect::<Vec<_>>();
    let classes = names(&mut FailureClass::ALL.iter().map(|class| class.as_str()));
    assert_eq!(listed("FailureClass"), classes);
    assert_eq!(listed("RowStatus"), names(&mut RowStatus::ALL.iter().map(|status| status.as_str())));
    assert_eq!(listed("TextStatus"), names(&mut TextStatus::ALL.iter().map(|status| status.as_str())));
    for (at, line) in page.lines().filter(|line| line.starts_with("| `image_")).enumerate() {
        let cells: Vec<&str> = line.split(" | ").collect();
        let name = cells[0].trim_matches(['|', ' ', '`']);
        let status = RowStatus::parse(name).unwrap_or_else(|| panic!("{at}: {name}"));
        assert_eq!(cells[2] != "no", status.is_quarantined(), "{name}");
    }
    for class in FailureClass::ALL.iter().filter(|class| class.is_systemic()) {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{class}`"))).unwrap();
        assert!(row.contains("stops with code 3"), "{row}");
    }
}

#[test]
fn the_page_of_the_formats_has_the_version_of_each_format() {
    let page = fs::read_to_string(repo().join("docs/reference/formats.md")).unwrap();
    for (name, version) in [
        ("job.json", job::VERSION),
        ("plan-*.parquet", plan::VERSION),
        ("known-answers.json", self_test::VERSION),
        ("commits/", commit::VERSION),
        ("failures/", failure::VERSION),
        ("retries/", retry::VERSION),
        ("controls/", capfilt_schemas::control::VERSION),
        ("manifests/", manifest::VERSION),
        ("ledger.parquet", ledger::VERSION),
        ("pairs.parquet, pairs.tar", pairs::VERSION),
        ("quarantine.parquet", quarantine::VERSION),
        ("export.json", export::VERSION),
        ("loop.json", capfilt_schemas::bootstrap::VERSION),
        ("messages over NATS", queue_protocol::VERSION),
    ] {
        let row = page.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap_or_default();
        assert!(row.starts_with(&format!("| {name} | {version} |")), "{name} has version {version}: {row}");
    }
}

/// Names in backticks in the first column of tables.
fn first_cells(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}
