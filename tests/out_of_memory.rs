//! A row that takes more memory than there is: the kernel ends its worker, and the row is found.
//!
//! The limit is real: a control group of this machine's memory controller, in its first or its second
//! version.

use crate::support::{Job, expect, repo, small, stderr, tables::Tables, tools};
use serde_json::json;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// Bytes that the whole job may take: enough for two processes and their models, and too little for [`HUGE`].
const LIMIT: u64 = 1200 << 20;

/// Puts a small file whose pixels take 3.6 GB to decode in place of one row's image.
const HUGE: &str = r#"
import io, sys, pyarrow as pa, pyarrow.parquet as pq
from PIL import Image
picture = io.BytesIO()
large = Image.new("RGB", (20000, 20000), (1, 2, 3))
large.save(picture, "JPEG", progressive=True, subsampling=0)
table = pq.read_table(sys.argv[1])
images = table["jpg"].to_pylist()
images[37] = picture.getvalue()
at = table.schema.get_field_index("jpg")
pq.write_table(table.set_column(at, "jpg", pa.array(images, pa.binary())), sys.argv[1])
"#;

/// A control group with a limit of memory, which ends with this value.
struct Group(PathBuf);

impl Group {
    /// # Errors
    /// When the machine does not permit a control group.
    fn new() -> io::Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let first = root.join("memory").is_dir();
        let (parent, limit) =
            if first { (root.join("memory"), "memory.limit_in_bytes") } else { (root.into(), "memory.max") };
        let group = Self(parent.join(format!("capfilt-test-{}", std::process::id())));
        fs::create_dir(&group.0)?;
        fs::write(group.0.join(limit), LIMIT.to_string())?;
        // A process that swaps does not run out of memory. A machine without swap has no such file.
        let _ = fs::write(group.0.join("memory.swap.max"), "0");
        Ok(group)
    }

    /// The same command, in the group.
    fn within(&self, run: &Command) -> Command {
        let mut shell = Command::new("sh");
        let join = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display());
        shell.args(["-c", &join, "sh"]).arg(run.get_program()).args(run.get_args());
        shell.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_row_that_takes_more_memory_than_there_is_costs_itself_alone() {
    let Ok(group) = Group::new() else {
        tools::skip(&tools::CONTROL_GROUP);
        return;
    };
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    fs::create_dir(&web).unwrap();
    small::first_rows("web-00000.parquet", 60, 60, &web.join("a.parquet"));
    expect(Command::new(repo().join(".venv/bin/python")).args(["-c", HUGE]).arg(web.join("a.parquet")), 0);
    let url = format!("input.url={}", web.display());
    let job = job.set(&[&url, "limits.failure_budget=0.2", "limits.pixels=1000000000"]);

    let shown = stderr(&expect(&mut group.within(&job.command("run")), 1));
    assert!(shown.contains("SIGKILL") && shown.contains("the kernel ended it, out of memory"), "{shown}");
    let tables = Tables::of(&job);
    let [set_aside] = &tables.quarantine[..] else { panic!("{:?}", tables.quarantine) };
    assert_eq!((&set_aside["row"], &set_aside["status"]), (&json!(37), &json!("crashed")));
    assert!(set_aside["detail"].as_str().unwrap().contains("out of memory"), "{set_aside}");
    assert_eq!(tables.ledger.iter().filter(|row| row["status"] == "judged").count(), 59);
    job.verify(0);
}
