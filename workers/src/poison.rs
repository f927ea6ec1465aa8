//! Rows that end the process or never end: only the build under test has this, and only the tests ask for it.

use std::process::Command;

/// Strikes when one of the rows is among those that CAPFILT_TEST_POISON names for the stage: `decode:12`
/// aborts, `decode-kill:12` is killed as the kernel kills for want of memory, `device-hang:40` waits for
/// ever.
pub(crate) fn strike(stage: &str, rows: &[u64]) {
    let asked = std::env::var("CAPFILT_TEST_POISON").unwrap_or_default();
    for (at, row) in asked.split_whitespace().filter_map(|entry| entry.split_once(':')) {
        let Some(how) = at.strip_prefix(stage) else { continue };
        if !row.parse().is_ok_and(|row| rows.contains(&row)) {
            continue;
        }
        match how {
            "" => std::process::abort(),
            "-kill" => {
                let own = std::process::id().to_string();
                Command::new("kill").args(["-KILL", &own]).status().expect("`kill` is on every machine");
            }
            "-hang" => loop {
                std::thread::park();
            },
            other => panic!("CAPFILT_TEST_POISON: `{other}` is nothing that happens to a row"),
        }
    }
}
