//! The promise of the completions: the shells themselves read the files, and complete commands, options and
//! values.

use crate::support::{
    capfilt, expect, stdout,
    tools::{SHELLS, need},
};
use std::{fs, path::Path, process::Command};

/// Beginnings of command lines, and the last word that a shell makes of them.
const LINES: [(&str, &str); 4] = [
    ("capfilt ver", "verify"),
    ("capfilt verify --reco", "--recompute"),
    ("capfilt train pre", "pretrain"),
    ("capfilt export --format energ", "energon"),
];

/// zsh as a user starts it, in a separate terminal; the function `capfilt` writes down what it is given.
/// Arguments: the folder with `_capfilt`, and a beginning of a command line.
const ZSH: &str = r#"
zmodload zsh/zpty zsh/zselect
cd "$1"
zpty inner env -i TERM=xterm PATH="$PATH" HOME="$1" zsh -f -i
wait_for() {
    for try in {1..1500}; do
        while zpty -rt inner drawn; do :; done
        [[ -e $1 ]] && return 0
        zselect -t 2
    done
    print "no $1: $drawn"
    exit 1
}
zpty -w inner 'fpath=("$PWD" $fpath); autoload -Uz compinit && compinit -u -D; unsetopt list_ambiguous'
zpty -w inner 'capfilt() { print -r -- "$@" > given.new; mv given.new given }; : > ready'
wait_for ready
zpty -w -n inner "$2"$'\t'
zpty -w -n inner $'\r'
wait_for given
print -r -- "$(<given)"
zpty -d inner
"#;

fn completions(shell: &str, to: &Path) {
    fs::write(to, stdout(&expect(capfilt().args(["completions", shell]), 0))).unwrap();
}

fn last_word(text: &str) -> &str {
    text.split_whitespace().next_back().unwrap_or_default()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capfilt.bash");
    completions("bash", &file);
    for (line, expected) in LINES {
        // Bash reads the file and calls its function, as for a tab.
        let script = "source \"$1\"; read -ra COMP_WORDS <<< \"$2\"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); \
                      _capfilt capfilt \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; \
                      echo \"${COMPREPLY[@]}\"";
        let mut bash = Command::new("bash");
        let said = stdout(&expect(bash.args(["-c", script, "bash"]).arg(&file).arg(line), 0));
        assert_eq!(said.trim(), expected, "{line}");
    }
}

#[test]
fn fish_completes_commands_options_and_values() {
    if !need(&SHELLS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capfilt.fish");
    completions("fish", &file);
    // clap's file for fish has no values of arguments without a dash.
    for (line, expected) in LINES.into_iter().filter(|(line, _)| !line.starts_with("capfilt train")) {
        let script = format!("source {}; complete -C '{line}'", file.display());
        let mut fish = Command::new("fish");
        let said = stdout(&expect(fish.env("HOME", folder.path()).args(["--no-config", "-c", &script]), 0));
        let words: Vec<&str> = said.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(words, [expected], "{line}");
    }
}

#[test]
fn zsh_completes_commands_options_and_values() {
    if !need(&SHELLS) {
        return;
    }
    for (line, expected) in LINES {
        let folder = tempfile::tempdir().unwrap();
        completions("zsh", &folder.path().join("_capfilt"));
        let mut zsh = Command::new("zsh");
        let said = stdout(&expect(zsh.args(["-f", "-c", ZSH, "zsh"]).arg(folder.path()).arg(line), 0));
        assert_eq!(last_word(&said), expected, "{line}: {said}");
    }
}
