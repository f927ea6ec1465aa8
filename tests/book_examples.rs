//! The promise of the other pages of the book: each command runs, on a small job in the place of the
//! reader's, and so does each block of Python; what does not run is listed here with the reason.

use crate::{
    book_commands::PAGES,
    support::{
        Job,
        book::{Block, blocks, commands, interpreter, pages},
        capfilt, expect,
        nats::{Nats, free_port},
        repo,
        small::first_rows,
        stdout,
    },
};
use std::{fs, path::PathBuf, process::Command};

/// Places of the reader, and those of this test; `{bucket}` and `{models}` are folders, `{nats}` is the URL
/// of a server.
const PLACES: [(&str, &str); 18] = [
    ("s3://bucket/job ", "{bucket}/jobs/x "),
    ("0.0.0.0:8080", "127.0.0.1:0"),
    ("hf://Salesforce/blip-itm-base-coco", "{models}/filter"),
    ("hf://Salesforce/blip-image-captioning-base", "{models}/captioner"),
    ("s3://bucket", "{bucket}"),
    ("nats://host:4222", "{nats}"),
    ("127.0.0.1:9100", "127.0.0.1:0"),
    ("score   --model DIR", "score --model {models}/filter"),
    ("caption --model DIR", "caption --model {models}/captioner"),
    ("photo.jpg", "{bucket}/photo.png"),
    ("--job URL", "--job {bucket}/jobs/x"),
    ("--key KEY", "--key 000000001"),
    // Exports of other formats are in folders of their names.
    ("StreamingDataset(local=\"out/dprime", "StreamingDataset(local=\"out/mds"),
    ("pyarrow.dataset.dataset(\"out/dprime", "pyarrow.dataset.dataset(\"out/parquet"),
    ("polars.read_parquet(\"out/dprime", "polars.read_parquet(\"out/parquet"),
    ("duckdb.sql(\"FROM 'out/dprime", "duckdb.sql(\"FROM 'out/parquet"),
    ("get_train_dataset(\n    \"out/dprime", "get_train_dataset(\n    \"out/energon"),
    ("num_workers=8", "num_workers=0"),
];

/// Beginnings of commands and of blocks of Python that do not run here, and the reason.
const NOT_RUN: [(&str, &str); 16] = [
    ("capfilt answer --model", "answers.rs runs it with a small model"),
    ("capfilt eval vqa", "answers.rs runs it with a small model"),
    ("capfilt eval video-", "clips.rs runs both with small models"),
    ("capfilt score --pair", "train_nlvr.rs runs it with a small model"),
    ("capfilt eval nlvr", "train_nlvr.rs runs it with a small model"),
    ("capfilt demo --truth out/demo", "report.rs runs it on the demo's job"),
    ("capfilt report --job out/demo", "report.rs runs it on the demo's job"),
    ("export PAGE_TOKEN=", "a part of the next command, which has a token here"),
    ("curl ", "it needs the server of the command before; the tests of the live page send its requests"),
    ("cargo build --release", "it built the program under test"),
    ("STORAGE=", "a part of the next command"),
    ("gcloud ", "it changes an account of Google Cloud"),
    ("az ", "it changes an account of Azure"),
    (
        "python -m open_clip_train.main",
        "open_clip's training; export_consumers.rs reads the tars by its loader",
    ),
    ("import capfilt, lance", "lance.rs runs it"),
    ("rows = pq.read_table(\"out/captions", "export_captions.py runs it beside the tars of its job"),
];

/// Imports and variables that the text around a block of Python takes as known.
const KNOWN: &str = r#"
import glob as _glob, os, subprocess
import capfilt, datasets, duckdb, polars, pyarrow, pyarrow.dataset, torch, torchvision, webdataset
import webdataset as wds
from datasets import load_dataset
from megatron.energon import WorkerConfig, get_loader, get_train_dataset
from streaming import StreamingDataset
glob = _glob.glob
job, epochs, step = "{bucket}/jobs/x", 1, lambda batch: batch["image"].shape
preprocess = torchvision.transforms.Compose(
    [torchvision.transforms.Resize((32, 32)), torchvision.transforms.ToTensor()]
)
_first = capfilt.CapFiltDataset(job, batch_size=64, transform=preprocess, text="random", seed=0)
checkpoint = {"loader": _first.loader(num_workers=0).state_dict()}
"#;

/// A folder in which the pages' commands run, with a finished job at `bucket/jobs/x` and its cut `strict`.
struct Desk {
    job: Job,
    nats: Nats,
    programs: PathBuf,
}

impl Desk {
    fn new(nats: Nats) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["bucket/web", "bucket/jobs", "programs"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        first_rows("web-00000.parquet", 40, 20, &at("bucket/web/web-00000.parquet"));
        image::RgbImage::from_fn(90, 60, |x, y| image::Rgb([x as u8, y as u8, 200]))
            .save(at("bucket/photo.png"))
            .unwrap();
        let kinds = [("human", "human"), ("test", "human"), ("vqa", "questions"), ("nlvr", "statements")];
        for (name, kind) in kinds {
            let made = ["--kind", kind, "--scenes", "30", "--captions-per-scene", "2", "--side", "32"];
            expect(capfilt().args(["demo", "--make-data"]).arg(at("bucket").join(name)).args(made), 0);
        }
        expect(capfilt().args(["demo", "--make-vocabulary"]).arg(at("vocabulary")), 0);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_capfilt"), at("programs/capfilt")).unwrap();
        let (objects, programs) = (at("bucket/jobs/x"), at("programs"));
        let [url, input, models] = [&objects, &at("bucket/web"), &repo().join("tests/data/models")]
            .map(|path| path.display().to_string());
        let job = Job::at(folder, url, objects, &input, &models);
        let desk = Self { job, nats, programs };
        let thresholds = "[filter]\nweb_threshold = 0.05\nsynthetic_threshold = 0.05\n";
        desk.write("job.toml", &(fs::read_to_string(desk.job.config()).unwrap() + thresholds));
        desk.write_training();
        desk.job.run();
        for format in ["mds", "parquet", "energon"] {
            let to = format!("out/{format}");
            let export = format!("capfilt export --job {} --format {format} --to {to}", desk.job.url);
            expect(&mut desk.shell(&export), 0);
        }
        let cut = format!("capfilt recut --job {} --where 'words >= 1' --name strict", desk.job.url);
        expect(&mut desk.shell(&cut), 0);
        desk
    }

    /// Settings of small models, in the files that `docs/training.md` names.
    fn write_training(&self) {
        let run = |name: &str| {
            format!(
                "[run]\nfolder = \"out/{name}\"\ndevice = \"cpu\"\nepochs = 1\nbatch = 12\nsave_every = 4\n"
            )
        };
        let data = format!("[[data]]\nurl = {:?}\n", self.path("bucket/human"));
        let sizes = "[sizes]\nimage_size = 32\npatch_size = 8\nvision_width = 16\nvision_layers = 1\n\
                     vision_heads = 2\ntext_width = 16\ntext_layers = 1\ntext_heads = 2\npositions = 40\n\
                     projection = 8\n";
        let fresh = &format!("[model]\nvocabulary = {:?}\n", self.path("vocabulary"));
        let (from, queue) =
            ("[model]\nfrom = \"out/pretrain/model\"\nimage_size = 0\n", "[objective]\nqueue = 24\n");
        self.write("pretrain.toml", &[&run("pretrain"), fresh, sizes, queue, &data].concat());
        self.write("filter.toml", &[&run("filter"), from, queue, &data].concat());
        self.write("captioner.toml", &[&run("captioner"), from, &data].concat());
        let questions = data.replace("human", "vqa");
        let cut = "[objective]\nmax_tokens = 40\n";
        self.write("vqa.toml", &[&run("vqa"), from, cut, &questions].concat());
        self.write("nlvr.toml", &[&run("nlvr"), from, cut, &data.replace("human", "nlvr")].concat());
        // In a loop, the loop sets the folder, the origin and the data of each step.
        let step = |parts: &[&str]| parts.concat().replace("folder = \"out/", "# folder = \"out/");
        let (own, size) = ("[model]\nimage_size = 0\n", run("x"));
        self.write("loop-pretrain.toml", &step(&[&size, fresh, sizes, queue]));
        self.write("loop-filter.toml", &step(&[&size, own, queue]));
        self.write("loop-captioner.toml", &step(&[&size, own]));
        self.write(
            "loop-job.toml",
            "[captioner]\nmax_length = 12\nmin_length = 2\n[filter]\nweb_threshold = 0.3\n\
             synthetic_threshold = 0.3\n[workers]\ndevices = [\"cpu\"]\n[models]\nprecision = \"f32\"\n",
        );
        let files = "pretrain = \"loop-pretrain.toml\"\nfilter = \"loop-filter.toml\"\n\
                     captioner = \"loop-captioner.toml\"\njob = \"loop-job.toml\"\n";
        let (human, web) = (self.path("bucket/human"), self.path("bucket/web"));
        let inputs = format!("[[human]]\nurl = {human:?}\n[web]\nurl = {web:?}\n");
        self.write("loop.toml", &format!("[loop]\nfolder = \"out/loop\"\nrounds = 1\n{files}{inputs}"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.job.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A text of a page with the places of this test.
    fn local(&self, text: &str) -> String {
        let text = PLACES.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours));
        let models = repo().join("tests/data/models").display().to_string();
        text.replace("{bucket}", &self.path("bucket").display().to_string())
            .replace("{models}", &models)
            .replace("{nats}", &self.nats.url())
    }

    fn python(&self, script: &str) -> Command {
        interpreter("python", script, self.job.folder.path(), &self.programs)
    }

    fn shell(&self, command: &str) -> Command {
        interpreter("sh", command, self.job.folder.path(), &self.programs)
    }

    /// Executes a command of a page, or checks it in the way of its program. `init` keeps an existing file.
    fn execute(&self, place: &str, command: &str) {
        let local = self.local(command);
        println!("{place}: {local}");
        let (script, code) = match local.split_whitespace().next().unwrap() {
            "make" => (local.replace("make ", &format!("make -n -C {} ", repo().display())), 0),
            // The server is ended after a second, by a code of `timeout`, and ends before with wrong options.
            "nats-server" => {
                let store = self.path(&format!("nats-{}", free_port())).display().to_string();
                let local = local.replace("DIR", &store).split('#').next().unwrap().to_owned();
                (format!("timeout 1 {local} -a 127.0.0.1 -p {} -sd {store}", free_port()), 124)
            }
            // The page is served until its process ends.
            "capfilt" if local.contains("capfilt serve") => {
                let listen = if local.contains("--listen") { "" } else { "--listen 127.0.0.1:0" };
                let local = local.split('#').next().unwrap();
                (format!("PAGE_TOKEN=0123456789abcdef0123456789abcdef timeout 10 {local} {listen}"), 124)
            }
            // A paused job would hold up the next commands.
            "capfilt" if local.contains("capfilt control") => {
                let local = local.split('#').next().unwrap();
                (format!("{local}\n{}", local.replace("pause", "resume")), 0)
            }
            _ => (local, 0),
        };
        if script.starts_with("capfilt init") {
            fs::remove_file(self.path("job.toml")).unwrap();
        }
        expect(&mut self.shell(&script), code);
        if script.starts_with("capfilt init") {
            let settings = fs::read_to_string(self.path("job.toml")).unwrap();
            self.write("job.toml", &self.local(&settings));
        }
    }
}

/// Reason why a command or a block does not run.
fn reason(code: &str) -> Option<&'static str> {
    NOT_RUN.iter().find(|(start, _)| code.starts_with(start)).map(|(_, reason)| *reason)
}

/// Pages that `book_commands.rs` does not run.
fn other_pages() -> impl Iterator<Item = (String, Vec<Block>)> {
    let pages = pages().into_iter().filter(|page| !PAGES.contains(&&page[..]));
    pages.map(|page| (page.clone(), blocks(&page)))
}

#[test]
fn every_command_and_every_block_of_python_of_the_other_pages_runs() {
    let Some(nats) = Nats::start() else { return };
    let desk = Desk::new(nats);
    let settings = fs::read_to_string(desk.path("job.toml")).unwrap();
    let (mut ran, mut unused) = (0, NOT_RUN.to_vec());
    for (_, blocks) in other_pages() {
        desk.write("job.toml", &settings);
        for block in &blocks {
            ran += match &block.info[..] {
                "sh" => run_commands(&desk, block, &mut unused),
                "python" => run_python(&desk, block, &mut unused),
                _ => 0,
            };
        }
    }
    println!("{ran} commands and blocks ran");
    assert!(ran > 45, "{ran} commands and blocks ran");
    assert!(unused.is_empty(), "no page has {unused:?}");
}

/// Runs the commands of a block; their number.
fn run_commands(desk: &Desk, block: &Block, unused: &mut Vec<(&str, &str)>) -> usize {
    let mut ran = 0;
    for command in commands(block).iter().flat_map(|command| command.split(" && ")) {
        unused.retain(|(start, _)| !command.starts_with(start));
        if let Some(why) = reason(command) {
            println!("{}: not run, {why}: {command}", block.place);
            continue;
        }
        desk.execute(&block.place, command);
        ran += 1;
    }
    ran
}

/// Runs a block of Python, and reads one sample of the data set that the block makes; 1 if it ran.
fn run_python(desk: &Desk, block: &Block, unused: &mut Vec<(&str, &str)>) -> usize {
    unused.retain(|(start, _)| !block.code.starts_with(start));
    if reason(&block.code).is_some() {
        return 0;
    }
    let (known, code) = (desk.local(KNOWN), desk.local(&block.code));
    println!("{}\n{code}", block.place);
    let script = format!(
        "{known}\nspace = dict(globals())\nexec({code:?}, space)\n\
         dataset = space.get('dataset')\n\
         dataset = get_loader(dataset) if 'energon' in type(dataset).__module__ else dataset\n\
         if dataset is not None and not isinstance(dataset, capfilt.CapFiltDataset):\n    \
         print('a sample', next(iter(dataset)) is not None)\n"
    );
    let said = stdout(&expect(&mut desk.python(&script), 0));
    let is_data = block.code.starts_with("dataset =") && !block.code.contains("CapFiltDataset");
    assert_eq!(said.contains("a sample True"), is_data, "{}: {said}", block.place);
    1
}
