//! Rows that end or hang the process: a feature of test builds only, controlled by the tests.

use std::process::Command;

/// Acts if CAPFILT_TEST_POISON names one of the rows for the stage: `decode:12` aborts, `decode-kill:12` is
/// killed like by the kernel's out-of-memory killer, `device-hang:40` waits forever.
pub(crate) fn strike(stage: &str, rows: &[u64]) {
    let poison = std::env::var("CAPFILT_TEST_POISON").unwrap_or_default();
    for (at, row) in poison.split_whitespace().filter_map(|entry| entry.split_once(':')) {
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
            other => panic!("CAPFILT_TEST_POISON: `{other}` is not an action"),
        }
    }
}
