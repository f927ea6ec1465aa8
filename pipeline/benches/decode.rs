//! How fast one core decodes images and squashes them to the model's side.
//!
//! usage: cargo bench -p capfilt-pipeline --bench decode -- FOLDER [SIDE [SECONDS]]
//!
//! Prints one line of JSON. `scripts/make_images.py FOLDER --web` makes a folder of photographs; the same folder goes to
//! Pillow for comparison. Files that don't decode are left out and counted.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use capfilt_pipeline::image::{ImageLimits, decode};
use capfilt_pipeline::resize::Resizer;

fn main() {
    // Cargo adds `--bench` of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let Some(folder) = arguments.first() else {
        eprintln!("usage: cargo bench -p capfilt-pipeline --bench decode -- FOLDER [SIDE [SECONDS]]");
        return;
    };
    let number = |at: usize, default: usize| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let (side, seconds) = (number(1, 384), number(2, 5));
    let limits = ImageLimits::default();
    let (files, broken): (Vec<_>, Vec<_>) =
        files(Path::new(folder)).into_iter().partition(|file| decode(file, &limits).is_ok());
    assert!(!files.is_empty(), "{folder} has images");

    let (mut resizer, mut pixels) = (Resizer::new(), Vec::new());
    let (mut decoding, mut resizing, mut images) = (Duration::ZERO, Duration::ZERO, 0);
    while decoding + resizing < Duration::from_secs(seconds as u64) {
        for file in &files {
            let start = Instant::now();
            let image = decode(file, &limits).expect("it decoded before");
            let decoded = Instant::now();
            pixels.clear();
            resizer.squash(&image, side, &mut pixels);
            black_box(&pixels);
            drop(image);
            decoding += decoded - start;
            resizing += decoded.elapsed();
            images += 1;
        }
    }
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(images);
    println!(
        r#"{{"what":"decode","files":{},"broken":{},"side":{side},"images_per_second":{:.1},"decode_ms":{:.3},"resize_ms":{:.3}}}"#,
        files.len(),
        broken.len(),
        1e3 / milliseconds(decoding + resizing),
        milliseconds(decoding),
        milliseconds(resizing),
    );
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> =
        entries.map(|entry| entry.expect("a readable folder").path()).filter(|path| path.is_file()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a readable file")).collect()
}
