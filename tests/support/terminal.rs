//! A program in a terminal of a given size, by `tests/terminal.py`.

use super::{capfilt, python, tables::json_of};
use serde_json::{Value, json};
use std::process::Command;

/// Result of a program in a terminal.
pub struct Session {
    pub code: i64,
    /// Output up to the end of each `until`, and the rest.
    pub parts: Vec<Vec<u8>>,
    /// Whether the modes of the terminal are as before.
    pub has_same_modes: bool,
}

impl Session {
    pub fn text(&self) -> String {
        String::from_utf8(self.parts.concat()).unwrap()
    }
}

/// Runs the program under test with arguments; `steps` as in `terminal.py`.
pub fn in_terminal(size: [u16; 2], env: &[(&str, &str)], steps: Value, arguments: &[&str]) -> Session {
    let mut variables = serde_json::Map::new();
    variables.insert("TERM".to_owned(), json!("xterm-256color"));
    variables.extend(env.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    let plan = json!({"columns": size[0], "lines": size[1], "env": variables, "steps": steps, "limit": 120});
    let mut command: Command = python("tests/terminal.py");
    capfilt().get_envs().for_each(|(name, value)| {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    });
    // The terminal of the user who runs the tests is not the one of the test.
    for name in ["TMUX", "KITTY_WINDOW_ID", "TERM_PROGRAM"] {
        command.env_remove(name);
    }
    let found = json_of(command.arg(plan.to_string()).arg(env!("CARGO_BIN_EXE_capfilt")).args(arguments));
    let parts = found["output"].as_array().unwrap().iter();
    let parts = parts.map(|part| base64(part.as_str().unwrap())).collect();
    Session { code: found["code"].as_i64().unwrap(), parts, has_same_modes: found["modes"] == true }
}

fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|c| *c != b'=').map(value).collect();
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit));
        let bytes = (bits << (6 * (4 - group.len()))).to_be_bytes();
        bytes[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
