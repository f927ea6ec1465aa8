//! A repeated run resumes a killed export.

use crate::support::{capfilt, expect, exports::record, python};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Sources, each with 16 MB of images that nothing compresses.
const SOURCES: usize = 5;
const FILES: usize = 20;

/// An export that has not come to an event by then hangs.
const HANGS: Duration = Duration::from_secs(120);

fn export(inputs: &Path, format: &str, to: &Path) -> Command {
    let mut command = capfilt();
    command.args(["export", "--json", "--format", format, "--files", &FILES.to_string(), "--to"]).arg(to);
    if format == "mds" {
        command.args(["--dedup-images", "16"]);
    }
    for number in 0..SOURCES {
        command.arg("--human").arg(inputs.join(format!("large-{number}")));
    }
    command
}

/// Files directly in a folder, by name, with their inode: a file that was written again has another.
fn inodes(folder: &Path, ending: &str) -> BTreeMap<PathBuf, u64> {
    let all = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap());
    let wanted = all.filter(|entry| entry.file_name().to_str().unwrap().ends_with(ending));
    wanted.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.ino()))).collect()
}

/// Kills an export when a number of files with an ending are in a folder; whether it lived until then.
fn kill_at(command: &mut Command, folder: &Path, ending: &str, files: usize) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    while inodes(folder, ending).len() < files && child.try_wait().unwrap().is_none() {
        assert!(since.elapsed() < HANGS, "it hangs");
        std::thread::yield_now();
    }
    let lives = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    child.wait().unwrap();
    lives
}

#[test]
fn a_killed_export_goes_on_and_repeats_at_most_one_file_of_each_writer() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = folder.path().join("inputs");
    expect(python("tests/export.py").arg("large").arg(&inputs).arg(SOURCES.to_string()), 0);
    let writers = std::thread::available_parallelism().unwrap().get().clamp(2, 8);
    for format in ["webdataset", "parquet", "mds"] {
        let (whole, killed) = (folder.path().join(format), folder.path().join(format!("{format}-killed")));
        let expected = record(&mut export(&inputs, format, &whole));
        let (data, scratch) = (killed.join("data"), killed.join("export.scratch"));
        let ending = if format == "webdataset" { ".tar" } else { &format!(".{format}") };
        let mut kills = u32::from(kill_at(&mut export(&inputs, format, &killed), &scratch, ".done", 2));
        let read = inodes(&scratch, ".pairs");
        for files in [3, 9] {
            kills += u32::from(kill_at(&mut export(&inputs, format, &killed), &data, ending, files));
            let before = inodes(&data, ending);
            let done = inodes(&scratch, ".done")
                .keys()
                .filter(|path| path.to_str().unwrap().contains("file-"))
                .count();
            assert!(
                before.len() - done <= writers,
                "{format}: {} files, {done} of them with receipts",
                before.len()
            );
            assert!(!killed.join("export.json").exists(), "{format}: the record is written last");
        }
        assert_eq!(kills, 3, "{format}: an export was over before it could be killed");
        let read_again = inodes(&scratch, ".pairs");
        let repeated = read.iter().filter(|(path, inode)| read_again.get(*path) != Some(*inode)).count();
        assert!(repeated <= writers, "{format}: {repeated} tasks of {} were read again", read.len());
        let before = inodes(&data, ending);
        assert_eq!(record(&mut export(&inputs, format, &killed)), expected, "{format}");
        let after = inodes(&data, ending);
        let written_again = before.iter().filter(|(path, inode)| after[*path] != **inode).count();
        assert!(
            written_again <= writers,
            "{format}: {written_again} of {} files were written again",
            before.len()
        );
        let bytes = |folder: &Path| {
            inodes(folder, "").into_keys().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>()
        };
        assert!(bytes(&whole.join("data")) == bytes(&data), "{format}: the files differ");
        let mut left: Vec<_> =
            fs::read_dir(&killed).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["README.md", "croissant.json", "data", "export.json"], "{format}");
    }
}

#[test]
fn an_export_that_is_killed_over_its_lists_makes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = folder.path().join("inputs");
    expect(python("tests/export.py").arg("large").arg(&inputs).arg(SOURCES.to_string()), 0);
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let expected = record(&mut export(&inputs, "json", &whole));
    assert!(kill_at(&mut export(&inputs, "json", &killed), &killed.join("export.scratch"), ".done", 1));
    assert_eq!(record(&mut export(&inputs, "json", &killed)), expected);
    let bytes = |folder: &Path| {
        let all = crate::support::exports::files(&folder.join("data"));
        all.into_iter()
            .map(|(path, bytes)| (path.strip_prefix(folder).unwrap().to_owned(), bytes))
            .collect::<BTreeMap<_, _>>()
    };
    assert!(bytes(&whole) == bytes(&killed));
}
