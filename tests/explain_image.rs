//! The promise of `capfilt explain` in a terminal with pictures: the sequences are the image of the row, in
//! the protocol of the terminal. Other terminals and pipes get none.

use crate::support::{
    Job, expect, python, repo, stdout,
    tables::{Tables, json_of},
    terminal::{Session, in_terminal},
};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

/// Variables of terminals, and their protocols.
const TERMINALS: [(&str, &str, &str); 3] =
    [("TERM", "xterm-kitty", "kitty"), ("TERM_PROGRAM", "iTerm.app", "iterm"), ("TERM", "foot", "sixel")];

fn explain(job: &Job, terminal: (&str, &str), row: &Value, more: &[&str]) -> Session {
    let address = format!("{}#{}", row["file"].as_str().unwrap(), row["row"]);
    let arguments = [&["explain", "--job", &job.url, "--row", &address][..], more].concat();
    let session = in_terminal([100, 30], &[terminal], json!([]), &arguments);
    assert_eq!(session.code, 0, "{}", session.text());
    session
}

/// Writes the encoded image of a row of the input.
fn image_of(input: &Path, row: &Value, to: &Path) {
    let script = "import sys, pyarrow.parquet as pq\n\
                  cell = pq.read_table(sys.argv[1])['jpg'][int(sys.argv[2])].as_py()\n\
                  open(sys.argv[3], 'wb').write(cell['bytes'] if isinstance(cell, dict) else cell)";
    let mut python = Command::new(repo().join(".venv/bin/python"));
    expect(python.args(["-c", script]).arg(input).arg(row["row"].to_string()).arg(to), 0);
}

fn compare(protocol: &str, session: &Session, image: &Path) -> Value {
    let output = image.with_extension("output");
    fs::write(&output, session.parts.concat()).unwrap();
    json_of(python("tests/pictures.py").arg(protocol).arg(output).arg(image).args(["480", "320"]))
}

#[test]
fn a_terminal_with_pictures_shows_the_image_of_kept_and_of_dropped_rows() {
    let folder = tempfile::tempdir().unwrap();
    let input = repo().join("tests/data/web/web-00000.parquet");
    let job = Job::over_one_file();
    job.run();
    let rows = Tables::of(&job).ledger;
    let keeps = |row: &&Value| row["texts"].as_array().unwrap().iter().any(|text| text["kept"] == true);
    let kept = rows.iter().rfind(keeps).unwrap();
    let dropped = rows.iter().rfind(|row| !keeps(row)).unwrap();
    for row in [kept, dropped] {
        let image = folder.path().join("image");
        image_of(&input, row, &image);
        for (name, value, protocol) in TERMINALS {
            let session = explain(&job, (name, value), row, &[]);
            assert!(session.text().contains(row["key"].as_str().unwrap()));
            let found = compare(protocol, &session, &image);
            assert_eq!(found["size"], json!([row["width"], row["height"]]), "{found}");
            match protocol {
                "sixel" => assert!(found["blocks"].as_f64().unwrap() < 8.0, "{found}"),
                _ => assert_eq!(found["largest"], 0, "{protocol}: {found}"),
            }
        }
    }
    for (terminal, more) in [
        (("TERM", "xterm-kitty"), &["--no-image"][..]),
        (("TERM", "xterm-kitty"), &["--json"]),
        (("TERM", "xterm-256color"), &[]),
        (("TMUX", "/tmp/tmux-0/default,1,0"), &[]),
    ] {
        let text = explain(&job, terminal, kept, more).text();
        assert!(!text.contains('\x1b') && !text.contains("picture"), "{terminal:?} {more:?}: {text:?}");
    }
    let mut piped = job.command_by_url("explain");
    piped.args(["--key", kept["key"].as_str().unwrap()]).env("TERM", "xterm-kitty");
    assert!(!stdout(&expect(&mut piped, 0)).contains('\x1b'));
}

/// A table with a large photograph, one that is not an image, and a row without an image.
fn unusual(path: &Path) {
    let script = "import io, sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq\n\
                  from PIL import Image\n\
                  y, x = np.mgrid[:1500, :2000]\n\
                  pixels = np.stack([x // 8 % 256, y // 6 % 256, (x + y) // 16 % 256], 2).astype('uint8')\n\
                  large = io.BytesIO()\n\
                  Image.fromarray(pixels).save(large, 'PNG')\n\
                  images = [large.getvalue(), b'not an image', None]\n\
                  keys = ['large', 'broken', 'missing']\n\
                  table = {'key': keys, 'caption': ['a', 'b', 'c'], 'jpg': images}\n\
                  pq.write_table(pa.table(table), sys.argv[1])";
    let mut python = Command::new(repo().join(".venv/bin/python"));
    expect(python.args(["-c", script]).arg(path), 0);
}

#[test]
fn a_large_image_is_reduced_and_one_that_cannot_be_had_is_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("unusual.parquet");
    unusual(&input);
    let job = Job::over(input.to_str().unwrap()).set(&["limits.failure_budget=1.0"]);
    // Two of the three rows are in quarantine.
    expect(&mut job.command("run"), 1);
    let row = |number: u64| json!({"file": "unusual.parquet", "row": number});
    let image = folder.path().join("image");
    image_of(&input, &row(0), &image);
    for (name, value, protocol) in TERMINALS {
        let session = explain(&job, (name, value), &row(0), &[]);
        assert!(session.parts.concat().len() < 2 << 20, "{protocol}: bounded");
        let found = compare(protocol, &session, &image);
        assert_eq!(found["size"], json!([427, 320]), "{protocol}: {found}");
        assert!(found["mean"].as_f64().unwrap() < if protocol == "sixel" { 30.0 } else { 1.5 }, "{found}");
    }
    let kitty = ("TERM", "xterm-kitty");
    for (number, why) in [(1, "cannot be decoded"), (2, "the input has no bytes of it (image_missing)")] {
        let text = explain(&job, kitty, &row(number), &[]).text();
        assert!(text.contains("picture     none: ") && text.contains(why), "{text}");
        assert!(!text.contains('\x1b'), "{text:?}");
    }
    fs::remove_file(&input).unwrap();
    let text = explain(&job, kitty, &row(1), &[]).text();
    assert!(text.contains("picture     none: the input cannot be read"), "{text}");
}
