//! Pixels equal Pillow's over the features of each format: `feature_matrix.py` makes small images of every
//! combination of depth, colours, byte order, interlacing, compression and container from a seed, and Pillow
//! decodes them.

#![allow(clippy::unwrap_used)]

use capfilt_pipeline::image::{ImageLimits, ImageSkip, decode, peak_decoding_bytes};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The environment variable `FEATURES_SEED` selects other images.
const SEED: &str = "1";

/// Results of the images of a format.
#[derive(Default)]
struct Counts {
    same: usize,
    turned: usize,
    both_refuse: usize,
    /// Decoded here, refused by Pillow.
    more: usize,
    /// Refused here with a status that names the feature.
    named: usize,
}

/// The images, and their pixels from Pillow.
struct Matrix {
    _folder: tempfile::TempDir,
    out: PathBuf,
}

impl Matrix {
    fn draw(seed: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let python = repository.join(".venv/bin/python");
        assert!(python.exists(), "{} is not there: run make setup", python.display());
        let (script, out) = (repository.join("pipeline/tests/feature_matrix.py"), folder.path().join("out"));
        let output = Command::new(&python).arg(&script).arg(seed).arg(&out).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { _folder: folder, out }
    }

    /// A line of the index: the name, and Pillow's size or error.
    fn lines(&self) -> Vec<Vec<String>> {
        let index = std::fs::read_to_string(self.out.join("index.tsv")).unwrap();
        index.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    fn pixels(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.out.join("pillow").join(name)).ok()
    }

    /// Adds an image to the counts of its format. The error describes the difference.
    fn compare(&self, line: &[String], counts: &mut Counts) -> Result<(), String> {
        let [name, size @ ..] = line else { panic!("a line has a name") };
        let bytes = std::fs::read(self.out.join("images").join(name)).unwrap();
        let limits = ImageLimits::default();
        let image = match (decode(&bytes, &limits), size[0] == "error") {
            (Ok(image), false) => image,
            (Err(ImageSkip::Unsupported(what)), false) => {
                println!("{name}: not supported: {what}");
                counts.named += 1;
                return Ok(());
            }
            (Err(skip), false) => return Err(format!("{name}: {skip}; Pillow decodes it")),
            (Ok(_), true) => {
                counts.more += 1;
                return Ok(());
            }
            (Err(_), true) => {
                counts.both_refuse += 1;
                return Ok(());
            }
        };
        counts.same += 1;
        assert!(
            peak_decoding_bytes(&bytes, &limits) >= image.pixels_u8.len() as u64,
            "{name}: less than its pixels"
        );
        if [image.width.to_string(), image.height.to_string()] != *size {
            return Err(format!("{name}: {} × {}, Pillow says {size:?}", image.width, image.height));
        }
        same(&image.pixels_u8, &self.pixels(&format!("{name}.raw")).unwrap())
            .map_err(|how| format!("{name}: {how}"))?;
        let Some(pillow) = self.pixels(&format!("{name}.turned.raw")) else { return Ok(()) };
        counts.turned += 1;
        let turned = decode(&bytes, &ImageLimits { exif_rotation: true, ..limits }).unwrap();
        same(&turned.pixels_u8, &pillow)
            .map_err(|how| format!("{name}, turned by its EXIF orientation: {how}"))
    }
}

fn same(ours: &[u8], pillow: &[u8]) -> Result<(), String> {
    if ours == pillow {
        return Ok(());
    }
    let pairs = ours.iter().zip(pillow);
    let off = pairs.clone().filter(|(ours, theirs)| ours != theirs).count();
    let levels = pairs.map(|(ours, theirs)| ours.abs_diff(*theirs)).max().unwrap();
    Err(format!("{off} of {} values differ, by up to {levels}", pillow.len()))
}

#[test]
fn every_feature_of_a_format_has_pillows_pixels_or_a_status_that_names_it() {
    let seed = std::env::var("FEATURES_SEED").unwrap_or_else(|_| SEED.to_owned());
    println!("seed {seed}");
    let matrix = Matrix::draw(&seed);
    let mut formats: BTreeMap<String, Counts> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in matrix.lines() {
        let format = line[0].rsplit('.').next().unwrap().to_owned();
        wrong.extend(matrix.compare(&line, formats.entry(format).or_default()).err());
    }
    for (format, Counts { same, turned, both_refuse, more, named }) in &formats {
        println!(
            "{format}: {same} compared ({turned} turned), {named} not supported, {more} decoded here alone, \
             {both_refuse} refused by both"
        );
    }
    assert!(
        wrong.is_empty(),
        "seed {seed}: {} images differ from Pillow:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    for (format, least) in
        [("bmp", 150), ("gif", 150), ("jpg", 110), ("png", 110), ("tif", 230), ("webp", 45)]
    {
        let same = formats[format].same;
        assert!(
            same >= least,
            "{format}: {same} images are compared with Pillow; at least {least} should be"
        );
    }
    let turned: usize = formats.values().map(|counts| counts.turned).sum();
    assert!(turned > 40, "{turned} images are turned by their EXIF orientation");
}
