//! The promise of Pillow's pixels, over the features of each format: small images of every combination of
//! depth, colours, order, interlacing, compression and container, as `feature_matrix.py` draws them from a
//! seed, against what Pillow makes of them.

#![allow(clippy::unwrap_used)]

use capfilt_pipeline::image::{ImageLimits, ImageSkip, decode, peak_decoding_bytes};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// `FEATURES_SEED` draws other images.
const SEED: &str = "1";

/// How the images of a format came out.
#[derive(Default)]
struct Counts {
    same: usize,
    both_refuse: usize,
    /// Decoded here, refused by Pillow.
    more: usize,
    /// Not supported here, by a status that names why.
    named: usize,
}

#[test]
fn every_feature_of_a_format_has_pillows_pixels_or_a_status_that_names_it() {
    let seed = std::env::var("FEATURES_SEED").unwrap_or_else(|_| SEED.to_owned());
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let python = repository.join(".venv/bin/python");
    assert!(python.exists(), "{} is not there: run make setup", python.display());
    let script = repository.join("pipeline/tests/feature_matrix.py");
    let out = folder.path().join("out");
    let output = Command::new(&python).arg(&script).arg(&seed).arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut formats: BTreeMap<String, Counts> = BTreeMap::new();
    let mut wrong = Vec::new();
    let index = std::fs::read_to_string(out.join("index.tsv")).unwrap();
    for line in index.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let (name, counts) = (fields[0], formats.entry(fields[0].rsplit('.').next().unwrap().to_owned()).or_default());
        let bytes = std::fs::read(out.join("images").join(name)).unwrap();
        let pillow =
            (fields[1] != "error").then(|| std::fs::read(out.join("pillow").join(format!("{name}.raw"))).unwrap());
        match (decode(&bytes, &ImageLimits::default()), pillow) {
            (Ok(image), Some(pillow)) => {
                let size = [image.width.to_string(), image.height.to_string()];
                if size != fields[1..] {
                    wrong.push(format!("{name}: {size:?}, Pillow says {:?}", &fields[1..]));
                } else if image.pixels_u8 != pillow {
                    let pairs = image.pixels_u8.iter().zip(&pillow);
                    let off = pairs.clone().filter(|(ours, theirs)| ours != theirs).count();
                    let levels = pairs.map(|(ours, theirs)| ours.abs_diff(*theirs)).max().unwrap();
                    wrong.push(format!("{name}: {off} of {} values differ, by up to {levels}", pillow.len()));
                } else {
                    counts.same += 1;
                }
                let least = image.pixels_u8.len() as u64;
                assert!(peak_decoding_bytes(&bytes, &ImageLimits::default()) >= least, "{name}: less than its pixels");
            }
            (Ok(_), None) => counts.more += 1,
            (Err(_), None) => counts.both_refuse += 1,
            (Err(ImageSkip::Unsupported(what)), Some(_)) => {
                println!("{name}: not supported: {what}");
                counts.named += 1;
            }
            (Err(skip), Some(_)) => wrong.push(format!("{name}: {skip}")),
        }
    }
    for (format, Counts { same, both_refuse, more, named }) in &formats {
        println!(
            "{format}: {same} same, {named} not supported, {more} decoded here alone, {both_refuse} refused by both"
        );
    }
    assert!(wrong.is_empty(), "seed {seed}: {} images differ from Pillow:\n{}", wrong.len(), wrong.join("\n"));
    for (format, least) in [("bmp", 80), ("gif", 150), ("jpg", 90), ("png", 100), ("tif", 200), ("webp", 30)] {
        let same = formats[format].same;
        assert!(same >= least, "{format}: {same} images are compared with Pillow; at least {least} should be");
    }
}
