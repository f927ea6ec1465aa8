//! Bounds of files and functions, over every tracked Rust file.

use crate::support::{repo, sources::tracked_rust_files};
use std::fs;

/// Most lines of a file, and of a function with its signature.
const FILE: usize = 350;
const FUNCTION: usize = 60;

/// Most lines of the median function, and of nine functions in ten.
const MEDIAN: usize = 8;
const NINE_IN_TEN: usize = 25;

/// A function, with its place for the message.
struct Function {
    place: String,
    lines: usize,
}

#[test]
fn files_and_functions_are_short() {
    let (mut functions, mut too_long) = (Vec::new(), Vec::new());
    for path in tracked_rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(repo()).unwrap().display().to_string();
        let lines = text.lines().count();
        if lines > FILE {
            too_long.push(format!("{name}: {lines} lines, at most {FILE}"));
        }
        functions.extend(functions_in(&text, &name));
    }
    let over = functions.iter().filter(|function| function.lines > FUNCTION);
    too_long.extend(over.map(|one| format!("{}: {} lines, at most {FUNCTION}", one.place, one.lines)));
    assert!(too_long.is_empty(), "{}", too_long.join("\n"));
    let mut lengths: Vec<usize> = functions.iter().map(|function| function.lines).collect();
    lengths.sort_unstable();
    let (median, nine_in_ten) = (lengths[lengths.len() / 2], lengths[lengths.len() * 9 / 10]);
    println!("{} functions: median {median} lines, nine in ten at most {nine_in_ten}", lengths.len());
    assert!(median <= MEDIAN && nine_in_ten <= NINE_IN_TEN, "median {median}, nine in ten {nine_in_ten}");
}

#[test]
fn functions_are_measured_without_strings_and_comments() {
    let text = "fn a() {\n    // }\n    let b = \"}\\\"}\";\n    let c = r#\"}\"}\"#;\n    let d = '}';\n}\n\
                trait T {\n    fn none(&self, f: fn(u8) -> [u8; 2]);\n    fn one<'a>(&'a self) {}\n}\n";
    let found = functions_in(text, "x.rs");
    let found: Vec<(&str, usize)> = found.iter().map(|one| (one.place.as_str(), one.lines)).collect();
    assert_eq!(found, [("x.rs:1 a", 6), ("x.rs:9 one", 1)]);
}

/// Functions with a body. An inner function also counts as lines of the outer one.
fn functions_in(text: &str, name: &str) -> Vec<Function> {
    let code = without_literals(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let is_word = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let function: String =
            code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(end) = body_end(&code[at..]).filter(|_| is_word && !function.is_empty()) else { continue };
        let line = code[..at].matches('\n').count() + 1;
        let lines = code[at..at + end].matches('\n').count() + 1;
        found.push(Function { place: format!("{name}:{line} {function}"), lines });
    }
    found
}

/// Offset of the brace that closes the body; `None` for a declaration without a body.
fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0, 0);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces <= 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The text with its lines, and without comments, strings and characters.
fn without_literals(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        let end = literal_end(rest).filter(|_| !code.ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        match end {
            Some(end) => {
                code.extend(rest[..end].chars().filter(|c| *c == '\n'));
                code.push(' ');
                rest = &rest[end..];
            }
            None => {
                code.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    code
}

/// Length of the comment, string or character with which the text begins.
fn literal_end(text: &str) -> Option<usize> {
    let after = |from: usize, mark: &str| text[from..].find(mark).map(|at| from + at + mark.len());
    if text.starts_with("//") {
        return text.find('\n').or(Some(text.len()));
    }
    if text.starts_with("/*") {
        return after(2, "*/");
    }
    let unprefixed = text.strip_prefix('b').unwrap_or(text);
    let prefix = text.len() - unprefixed.len();
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let is_string = raw[hashes..].starts_with('"');
        return is_string.then(|| after(prefix + 2 + hashes, &format!("\"{}", "#".repeat(hashes))))?;
    }
    match unprefixed.chars().next()? {
        '"' => unescaped(unprefixed, '"').map(|end| prefix + end),
        '\'' => character(unprefixed).map(|end| prefix + end),
        _ => None,
    }
}

/// Length of the literal up to its closing mark.
fn unescaped(text: &str, mark: char) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            c if c == mark => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Length of a character; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut chars = text.chars().skip(1);
    match (chars.next()?, chars.next()?) {
        ('\\', _) => unescaped(text, '\''),
        (one, '\'') => Some(2 + one.len_utf8()),
        _ => None,
    }
}
