//! A question to a person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _};

/// Asks on standard error for a line of standard input. An empty line is the default, and so is every answer
/// if standard input is not a terminal.
///
/// # Errors
/// Standard input ends or fails.
pub fn ask(question: &str, default: &str) -> io::Result<String> {
    let input = io::stdin();
    if !input.is_terminal() {
        return Ok(default.to_owned());
    }
    crate::line(format!("{question} [{default}]:"));
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    match answer.trim() {
        "" if answer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
        "" => Ok(default.to_owned()),
        answer => Ok(answer.to_owned()),
    }
}
