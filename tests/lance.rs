//! The promise of the book's recipe for Lance: its data set has the pairs of a job, with images and texts.

use crate::support::{Job, book::blocks, expect, repo, stdout};
use std::process::Command;

#[test]
fn the_recipe_for_lance_writes_each_pair_with_its_image_and_its_texts() {
    let python = repo().join(".lance/bin/python");
    assert!(python.exists(), "{} is missing: run `python3 scripts/python.py lance`", python.display());
    let job = Job::over_one_file();
    job.run();
    let recipe =
        blocks("docs/exports.md").into_iter().find(|block| block.code.contains("lance.write_dataset"));
    let to = job.folder.path().join("pairs.lance").display().to_string();
    let recipe = recipe.unwrap().code.replace("s3://bucket/jobs/x", &job.url).replace("out/pairs.lance", &to);
    let script = format!(
        "{recipe}\nwritten, read = (t.to_table().to_pylist() for t in (lance.dataset({to:?}), pairs))\n\
         key = lambda row: row['key']\nassert sorted(written, key=key) == sorted(read, key=key)\n\
         print(len(written), pairs.schema.names)\n"
    );
    let mut command = Command::new(python);
    command.args(["-c", &script]).env("PYTHONPATH", repo().join("python"));
    command.env("CAPFILT_PROGRAM", env!("CARGO_BIN_EXE_capfilt"));
    command.env("CAPFILT_LIBTORCH", repo().join(".libtorch"));
    let said = stdout(&expect(&mut command, 0));
    let pairs: usize = said.split(' ').next().unwrap().parse().unwrap();
    assert!(pairs > 100 && said.contains("'image', 'texts'"), "{said}");
}
