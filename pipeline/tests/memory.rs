//! Decoding takes no more memory than the bound that is computed from the image's header.
//!
//! The measurement runs in a separate process, whose allocator returns memory at once: glibc would keep freed
//! blocks, and the next image would seem to take no memory.

#![allow(clippy::unwrap_used)]

use capfilt_pipeline::image::{ImageLimits, decode, peak_decoding_bytes};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Memory of the process besides the image: the allocator's rounding, and code pages that are touched for the
/// first time.
const SLACK: u64 = 3 << 20;

/// Images of 2 megapixels in small files, in each format, of the kinds that take most memory.
const IMAGES: &str = r#"
import io, itertools, pathlib, struct, sys, zlib
from PIL import Image

out, side = pathlib.Path(sys.argv[1]), 1480


def save(name, mode, format, **options):
    image = (
        Image.effect_noise((side // 8, side // 8), 40)
        .resize((side, side))
        .convert("L" if mode == "I;16" else mode)
    )
    image.convert(mode).save(out / name, format, **options)


for mode, progressive, subsampling in itertools.product(
    ("L", "RGB", "CMYK"), (False, True), ("4:4:4", "4:2:0")
):
    save(
        f"{mode}-{progressive}-{subsampling[2:].replace(':', '')}.jpg",
        mode,
        "JPEG",
        progressive=progressive,
        subsampling=subsampling,
    )
for mode in ("1", "L", "P", "RGB", "RGBA", "LA", "I;16"):
    save(f"{mode.replace(';', '')}.png", mode, "PNG", compress_level=1)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


for interlaced in (0, 1):
    raw = bytes((8 * side + 1) * side * (1 if not interlaced else 2))
    head = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, interlaced)
    (out / f"rgba16-{interlaced}.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(32 << 20)))
        + chunk(b"IDAT", zlib.compress(raw, 1))
        + chunk(b"IEND", b"")
    )
for name, mode, options in (
    ("lossy", "RGB", {}),
    ("alpha", "RGBA", {}),
    ("lossless", "RGB", {"lossless": True}),
):
    save(f"{name}.webp", mode, "WEBP", method=0, **options)
save("p.gif", "P", "GIF")
save("rgb.bmp", "RGB", "BMP")
save("p.bmp", "P", "BMP")
for mode, compression in (
    ("RGB", None),
    ("RGBA", "tiff_lzw"),
    ("CMYK", "tiff_adobe_deflate"),
    ("RGB", "jpeg"),
    ("L", "packbits"),
    ("1", "group4"),
):
    save(f"{mode}-{compression}.tif", mode, "TIFF", compression=compression)
"#;

#[test]
fn decoding_takes_no_more_memory_than_the_bound_from_the_header() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.envs([("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072")]);
    command.args(["--ignored", "--exact", "--nocapture", "each_image_is_decoded_and_measured"]);
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{stdout}");
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
}

#[test]
#[ignore = "run by the test above, in a separate process"]
fn each_image_is_decoded_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let python = repository.join(".venv/bin/python");
    assert!(python.exists(), "{} is not there: run make setup", python.display());
    let output = Command::new(&python).args(["-c", IMAGES]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let limits = ImageLimits::default();
    let mut over = Vec::new();
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 30, "the images are there");
    for path in files {
        let bytes = fs::read(&path).unwrap();
        let bound = peak_decoding_bytes(&bytes, &limits);
        fs::write("/proc/self/clear_refs", "5").expect("Linux sets the peak back");
        let before = memory("VmRSS:");
        let pixels = decode(&bytes, &limits).unwrap().pixels_u8.len() as u64 / 3;
        let taken = memory("VmHWM:").saturating_sub(before);
        assert!(taken >= 2 * pixels, "{} takes {taken} bytes: its pixels are not measured", path.display());
        let [bound_each, taken_each] = [bound, taken].map(|bytes| bytes as f64 / pixels as f64);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        println!("{name:28} {bound_each:6.2} bytes per pixel as bound, {taken_each:6.2} taken");
        if taken > bound + SLACK {
            over.push(format!("{name}: {taken_each:.2} bytes per pixel, the bound is {bound_each:.2}"));
        }
        assert!(bound <= 15 * pixels + (8 << 20), "{name}: more than in the table of docs/images.md");
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

/// A line of the process's status, in bytes.
fn memory(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
