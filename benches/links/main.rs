//! Fetch rate of links beside img2dataset, on one loopback server in one run.
//!
//! usage: cargo bench --bench links -- [--links N] [--bytes N] [--delay-ms N] [--rounds N]
//!        [--at-once N] [--python PATH]
//!
//! Both programs read one Parquet file of URLs and write the fetched bytes, unchanged, to the local disk:
//! capfilt's reader of shards into one file, img2dataset into its tars (no resizing, no encoding). They take
//! turns. `--python` is a Python with img2dataset (`scripts/python.py img2dataset`); without it, only
//! capfilt's rate is printed. `--delay-ms` is the server's wait before each answer.

#![allow(clippy::unwrap_used)]

#[path = "../../pipeline/links/tests/support/web.rs"]
mod web;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use capfilt_pipeline::input::{ImageInput, InputColumns, Links, ShardReader};
use capfilt_schemas::{
    plan::{InputFile, Part, Shard, ShardId},
    settings::{self, Private},
};
use capfilt_store::Location;
use parquet::arrow::ArrowWriter;
use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use web::{Body, Reply, Web};

/// Values of the arguments.
struct Arguments {
    links: usize,
    bytes: usize,
    delay: Duration,
    rounds: u32,
    at_once: u32,
    python: Option<PathBuf>,
}

fn main() {
    let arguments = Arguments::parse();
    let (body, delay) = (image(arguments.bytes), arguments.delay);
    let web = Web::start(move |_| Reply::ok(b"").body(Body::Late(body.clone(), delay)));
    let folder = tempfile::tempdir().unwrap();
    write_links(&web, arguments.links, folder.path());
    println!(
        "{} links of {} bytes, {} ms each, {} requests at once",
        arguments.links,
        arguments.bytes,
        delay.as_millis(),
        arguments.at_once
    );
    for round in 1..=arguments.rounds {
        let took = ours(&arguments, folder.path());
        println!("round {round}: capfilt     {}", rate(arguments.links, took));
        if let Some(python) = &arguments.python {
            let took = img2dataset(python, &arguments, folder.path());
            println!("round {round}: img2dataset {}", rate(arguments.links, took));
        }
    }
}

impl Arguments {
    fn parse() -> Self {
        let all: Vec<String> = std::env::args().collect();
        let value = |name: &str| {
            let at = all.iter().position(|argument| argument == name)?;
            Some(all.get(at + 1).unwrap_or_else(|| panic!("{name} needs a value")).clone())
        };
        let number = |name: &str, default: u64| {
            value(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
        };
        Self {
            links: number("--links", 20_000) as usize,
            bytes: number("--bytes", 50_000) as usize,
            delay: Duration::from_millis(number("--delay-ms", 0)),
            rounds: number("--rounds", 3) as u32,
            at_once: number("--at-once", 64) as u32,
            python: value("--python").map(PathBuf::from),
        }
    }
}

fn rate(links: usize, took: Duration) -> String {
    format!("{:8.1} links/s, {:.2} s", links as f64 / took.as_secs_f64(), took.as_secs_f64())
}

/// Bytes that begin as an image; neither program decodes them.
fn image(bytes: usize) -> Vec<u8> {
    let mut image = b"\xff\xd8\xff\xe0".to_vec();
    image.extend((0..bytes.saturating_sub(4)).map(|at| (at * 31 % 251) as u8));
    image
}

fn write_links(web: &Web, links: usize, folder: &Path) {
    let urls = StringArray::from_iter_values((0..links).map(|n| web.url(&format!("/{n}.jpg"))));
    let texts = StringArray::from_iter_values((0..links).map(|n| format!("picture {n}")));
    let batch = RecordBatch::try_from_iter([
        ("url", Arc::new(urls) as ArrayRef),
        ("caption", Arc::new(texts) as ArrayRef),
    ])
    .unwrap();
    let file = File::create(folder.join("links.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn ours(arguments: &Arguments, folder: &Path) -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let fetched = runtime.block_on(fetch(arguments, folder));
    assert_eq!(fetched, arguments.links, "not all links were fetched");
    began.elapsed()
}

/// Reads the shard and writes its images. Returns their number.
async fn fetch(arguments: &Arguments, folder: &Path) -> usize {
    let settings = settings::Links {
        fetch: true,
        concurrency: arguments.at_once,
        per_host: arguments.at_once,
        allow_private: Private::All(true),
        ..settings::Links::default()
    };
    let columns = InputColumns {
        key: "key".to_owned(),
        image: "url".to_owned(),
        texts: vec!["caption".into()],
        most_texts: 16,
        selection: None,
        passthrough: Vec::new(),
        max_words: 30,
        image_bytes: 50 << 20,
        text_bytes: 16 << 10,
        seed: 0,
        memory: 1 << 30,
        links: Links::new(&settings, 1 << 30, Duration::from_secs(60)).unwrap(),
    };
    let input = Location::open(folder.to_str().unwrap()).unwrap();
    let mut reader = ShardReader::open(&input, &shard(arguments.links, folder), columns, 64).await.unwrap();
    let mut out = File::create(folder.join("images.bin")).unwrap();
    let mut fetched = 0;
    while let Some(rows) = reader.next().await.unwrap() {
        for sample in rows.samples {
            if let ImageInput::Bytes { bytes, .. } = sample.image {
                out.write_all(&bytes).unwrap();
                fetched += 1;
            }
        }
    }
    fetched
}

fn shard(rows: usize, folder: &Path) -> Shard {
    let name = "links.parquet";
    let path = folder.join(name);
    let bytes = std::fs::metadata(&path).unwrap().len();
    let read =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap());
    let part = Part::RowGroups(0..read.unwrap().metadata().num_row_groups() as u32);
    let file = Arc::new(InputFile { path: name.to_owned(), etag: String::new(), bytes });
    let id = ShardId::of_part(name, "", &part);
    Shard { id, file, part, first_row: 0, rows: rows as u64, rows_exact: true, bytes }
}

fn img2dataset(python: &Path, arguments: &Arguments, folder: &Path) -> Duration {
    let out = folder.join("img2dataset");
    let _ = std::fs::remove_dir_all(&out);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    let mut command = Command::new(python);
    command.args(["-m", "img2dataset.main", "--input_format", "parquet", "--url_col", "url"]);
    command.args(["--caption_col", "caption", "--output_format", "webdataset", "--resize_mode", "no"]);
    command.args(["--disable_all_reencoding", "True", "--enable_wandb", "False", "--retries", "0"]);
    command.args(["--processes_count", &cores.to_string()]);
    command.args(["--thread_count", &(arguments.at_once as usize).div_ceil(cores).to_string()]);
    command.args(["--number_sample_per_shard", &arguments.links.div_ceil(2 * cores).to_string()]);
    command.arg("--url_list").arg(folder.join("links.parquet")).arg("--output_folder").arg(&out);
    let output = command.env("NO_ALBUMENTATIONS_UPDATE", "1").stdin(Stdio::null()).output().unwrap();
    let took = began.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "img2dataset failed:\n{said}");
    let stats = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let stats = stats.filter(|path| path.to_string_lossy().ends_with("_stats.json"));
    let successes = stats.map(|path| successes(&std::fs::read_to_string(path).unwrap())).sum::<usize>();
    assert_eq!(successes, arguments.links, "img2dataset fetched other links:\n{said}");
    took
}

fn successes(stats: &str) -> usize {
    let stats: serde_json::Value = serde_json::from_str(stats).unwrap();
    stats["successes"].as_u64().unwrap() as usize
}
