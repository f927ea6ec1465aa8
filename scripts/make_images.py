#!/usr/bin/env python3
"""Make the images for the tests of decoding and resizing; every run makes the same files.

usage: .venv/bin/python scripts/make_images.py FOLDER [--web | --sizes]

With `--web`, only files like most web data: the photographs as JPEG of common quality. The benchmarks use
these files. With `--sizes`, the photographs at 0.2, 0.5, 1 and 4 megapixels in separate folders: reduced, or
several side by side at full scale if one is too small, because an enlarged photograph has no fine detail.

The photographs are the image files of scikit-image's wheel, unchanged and saved again in every format and
variant that Pillow can write. The script writes other variants (16-bit colour PNG, interlaced PNG, YCCK JPEG,
GIF frames smaller than their screen) byte by byte.
"""

import io
import pathlib
import shutil
import struct
import sys
import zlib

import numpy as np
import skimage
from PIL import Image

PHOTOGRAPHS = pathlib.Path(skimage.__file__).parent / "data"
COLOUR_PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "motorcycle_left.png",
    "rocket.jpg",
    "retina.jpg",
)
# Pillow resizes tall images along their height first; these sizes are on both sides of that limit, for sides
# 384 and 224.
TALL = [
    (300, 600),
    (400, 500),
    (500, 616),
    (500, 617),
    (385, 386),
    (385, 387),
    (200, 226),
    (225, 227),
    (600, 2000),
    (40, 5000),
]
IMAGE_ENDINGS = {".png", ".jpg", ".gif", ".tif"}


def photograph(name, mode="RGB"):
    return Image.open(PHOTOGRAPHS / name).convert(mode)


def gradient(width, height, mode="RGB"):
    """Make smooth colours with some noise: every value occurs, and shifted or swapped channels show."""
    rng = np.random.default_rng(width * 65537 + height)
    x, y = np.linspace(0, 255, width)[None, :], np.linspace(0, 255, height)[:, None]
    planes = np.stack([x + 0 * y, y + 0 * x, (x + y) / 2, 255 - (x + y) / 2], axis=-1)
    planes = np.clip(planes + rng.normal(0, 8, planes.shape), 0, 255).astype(np.uint8)
    return Image.merge(
        mode, [Image.fromarray(np.ascontiguousarray(planes[..., channel])) for channel in range(len(mode))]
    )


def png(path, samples, depth, colour_type, interlaced=False, palette=None, transparency=None):
    """Write a PNG of any type. `samples`: (height, width, channels) integers of `depth` bits."""
    height, width, _ = samples.shape
    passes = (
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
        if interlaced
        else [(0, 0, 1, 1)]
    )
    rows = b""
    for left, top, across, down in passes:
        for row in samples[top::down, left::across]:
            if row.size:
                rows += b"\0" + pack(row.reshape(-1), depth)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced)))]
    chunks += [(b"PLTE", palette)] if palette else []
    chunks += [(b"tRNS", transparency)] if transparency else []
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def pack(values, depth):
    if depth == 16:
        return values.astype(">u2").tobytes()
    bits = np.unpackbits(values.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
    return np.packbits(bits.reshape(-1)).tobytes()


def make_png(folder):
    rng = np.random.default_rng(1)
    wide = np.asarray(gradient(61, 47, "RGBA")).astype(np.uint16) * 257 + rng.integers(
        0, 200, (47, 61, 4), dtype=np.uint16
    )
    wide = np.minimum(wide, 65535)
    for name, channels, colour_type in [("grey", 1, 0), ("rgb", 3, 2), ("la", 2, 4), ("rgba", 4, 6)]:
        png(folder / f"png-16bit-{name}.png", wide[..., :channels], 16, colour_type)
        png(
            folder / f"png-8bit-{name}-interlaced.png",
            wide[..., :channels] >> 8,
            8,
            colour_type,
            interlaced=True,
        )
    png(folder / "png-16bit-grey-dark.png", wide[..., :1] >> 8, 16, 0)
    png(folder / "png-16bit-grey-trns.png", wide[..., :1], 16, 0, transparency=struct.pack(">H", 300))
    png(
        folder / "png-16bit-rgb-trns.png",
        wide[..., :3],
        16,
        2,
        transparency=struct.pack(">HHH", 300, 300, 300),
    )
    png(folder / "png-8bit-rgb-trns.png", wide[..., :3] >> 8, 8, 2, transparency=struct.pack(">HHH", 3, 4, 5))
    png(folder / "png-8bit-grey-trns.png", wide[..., :1] >> 8, 8, 0, transparency=struct.pack(">H", 9))
    for depth in (1, 2, 4, 8):
        palette = rng.integers(0, 256, 3 << depth, dtype=np.uint8).tobytes()
        png(folder / f"png-palette-{depth}bit.png", wide[..., :1] >> (16 - depth), depth, 3, palette=palette)
        png(
            folder / f"png-palette-{depth}bit-trns.png",
            wide[..., :1] >> (16 - depth),
            depth,
            3,
            palette=palette,
            transparency=bytes([0, 128]),
        )
        if depth < 8:
            png(folder / f"png-grey-{depth}bit.png", wide[..., :1] >> (16 - depth), depth, 0)
    png(
        folder / "png-palette-2bit-interlaced.png",
        wide[..., :1] >> 14,
        2,
        3,
        interlaced=True,
        palette=bytes(range(12)),
    )
    # Indices past the end of the palette: an error by the standard, black in practice.
    png(
        folder / "png-palette-short.png",
        wide[..., :1] >> 8,
        8,
        3,
        palette=rng.integers(0, 256, 3 * 200, dtype=np.uint8).tobytes(),
    )
    photograph("astronaut.png", "RGBA").save(folder / "png-rgba-photo.png")
    photograph("coffee.png", "LA").save(folder / "png-la-photo.png")
    photograph("coffee.png").quantize(200).save(folder / "png-palette-photo.png")
    photograph("chelsea.png").save(folder / "png-with-profile.png", icc_profile=b"\0" * 200, dpi=(72, 72))


def make_jpeg(folder):
    for name in COLOUR_PHOTOGRAPHS:
        photo, stem = photograph(name), name.split(".")[0]
        photo.save(folder / f"jpeg-{stem}-420-q75.jpg", quality=75)
        photo.save(folder / f"jpeg-{stem}-420-q95.jpg", quality=95, subsampling="4:2:0")
        photo.save(folder / f"jpeg-{stem}-422.jpg", quality=85, subsampling="4:2:2")
        photo.save(folder / f"jpeg-{stem}-444.jpg", quality=90, subsampling="4:4:4")
        photo.save(folder / f"jpeg-{stem}-progressive.jpg", quality=80, progressive=True)
        photo.convert("L").save(folder / f"jpeg-{stem}-grey.jpg", quality=85)
    chelsea, coffee = photograph("chelsea.png"), photograph("coffee.png")
    transposed(chelsea, folder / "jpeg-440.jpg")
    chelsea.save(folder / "jpeg-restarts.jpg", quality=85, restart_marker_blocks=3)
    chelsea.save(folder / "jpeg-progressive-444.jpg", quality=60, progressive=True, subsampling="4:4:4")
    chelsea.save(folder / "jpeg-q5.jpg", quality=5)
    chelsea.save(folder / "jpeg-progressive-q5.jpg", quality=5, progressive=True)
    chelsea.save(folder / "jpeg-q100.jpg", quality=100)
    chelsea.save(folder / "jpeg-rgb.jpg", quality=90, keep_rgb=True)
    for width, height in [
        (1, 1),
        (2, 2),
        (7, 5),
        (8, 8),
        (15, 17),
        (16, 16),
        (17, 33),
        (31, 1),
        (1, 31),
        (227, 149),
    ]:
        for subsampling in ("4:2:0", "4:2:2", "4:4:4"):
            coffee.crop((90, 60, 90 + width, 60 + height)).save(
                folder / f"jpeg-{width}x{height}-{subsampling.replace(':', '')}.jpg",
                quality=85,
                subsampling=subsampling,
            )
        coffee.crop((90, 60, 90 + width, 60 + height)).save(
            folder / f"jpeg-{width}x{height}-progressive.jpg", quality=85, progressive=True
        )
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        coffee.crop((0, 0, 200, 120)).save(folder / f"jpeg-exif-{turn}.jpg", quality=90, exif=exif)
    make_four_channel_jpeg(folder, coffee)


def transposed(photo, path):
    """Write a 4:4:0 JPEG by swapping the sampling factors of a 4:2:2 one.

    Cameras make 4:4:0 when they rotate 4:2:2 without decoding.
    """
    buffer = io.BytesIO()
    photo.crop((0, 0, 448, 288)).save(buffer, "JPEG", quality=85, subsampling="4:2:2")
    data = bytearray(buffer.getvalue())
    frame = data.index(b"\xff\xc0\x00\x11\x08")
    assert data[frame + 11] == 0x21, "the first component is sampled twice as often across"
    data[frame + 11] = 0x12
    path.write_bytes(data)


def make_four_channel_jpeg(folder, photo):
    """Write CMYK as Pillow does (Adobe's marker, inverted), with the marker for YCCK, and without it."""
    buffer = io.BytesIO()
    photo.convert("CMYK").save(buffer, "JPEG", quality=90)
    cmyk = buffer.getvalue()
    marker = cmyk.index(b"\xff\xee\x00\x0eAdobe")
    assert cmyk[marker + 15] == 0, "Pillow writes transform 0: plain CMYK"
    (folder / "jpeg-cmyk.jpg").write_bytes(cmyk)
    (folder / "jpeg-ycck.jpg").write_bytes(cmyk[: marker + 15] + b"\x02" + cmyk[marker + 16 :])
    (folder / "jpeg-cmyk-no-adobe.jpg").write_bytes(cmyk[:marker] + cmyk[marker + 16 :])
    photo.convert("CMYK").save(folder / "jpeg-cmyk-progressive.jpg", quality=70, progressive=True)
    gradient(200, 100, "CMYK").save(folder / "jpeg-cmyk-gradient.jpg", quality=95)


def make_webp(folder):
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"):
        photo, stem = photograph(name), name.split(".")[0]
        photo.save(folder / f"webp-{stem}-lossy.webp", quality=80)
        photo.save(folder / f"webp-{stem}-lossless.webp", lossless=True)
    coffee = photograph("coffee.png")
    coffee.save(folder / "webp-q20.webp", quality=20)
    gradient(123, 77, "RGBA").save(folder / "webp-alpha-lossy.webp", quality=80)
    gradient(123, 77, "RGBA").save(folder / "webp-alpha-lossless.webp", lossless=True, exact=True)
    frames = [coffee.crop((x, 0, x + 100, 100)) for x in (0, 50, 100)]
    frames[0].save(folder / "webp-animated.webp", save_all=True, append_images=frames[1:], lossless=True)
    for width, height in [(1, 1), (2, 3), (17, 33), (31, 1)]:
        coffee.crop((90, 60, 90 + width, 60 + height)).save(
            folder / f"webp-{width}x{height}.webp", quality=80
        )


def make_gif(folder):
    coffee = photograph("coffee.png").crop((50, 50, 210, 170))
    palette = coffee.quantize(60)
    palette.save(folder / "gif-still.gif")
    palette.save(folder / "gif-interlaced.gif", interlace=1)
    palette.save(folder / "gif-transparent.gif", transparency=7)
    frames = [coffee.crop((x, 0, x + 90, 100)).quantize(50) for x in (0, 30, 60)]
    frames[0].save(folder / "gif-animated.gif", save_all=True, append_images=frames[1:], duration=80)
    coffee.convert("L").save(folder / "gif-grey.gif")
    colours = bytes((37 * i) % 256 for i in range(12))
    for name, background, control in [
        ("offset", 2, b""),
        ("offset-transparent", 0, b"\x21\xf9\x04\x01\x00\x00\x03\x00"),
    ]:
        gif_of_one_colour(folder / f"gif-{name}.gif", colours, background, control)
    gif_of_one_colour(folder / "gif-local-palette.gif", colours, 2, b"", local=bytes(range(100, 112)))


def gif_of_one_colour(path, colours, background, control, local=None):
    """Write a 10×8 screen with one 4×3 frame of index 1 at (5, 2); decoders choose the pixels around it."""
    head = b"GIF89a" + struct.pack("<HHBBB", 10, 8, 0x91, background, 0) + colours
    frame = b"\x2c" + struct.pack("<HHHHB", 5, 2, 4, 3, 0x81 if local else 0) + (local or b"")
    codes, width, bits, held, data = [4] + [c for _ in range(12) for c in (1, 4)] + [5], 3, 0, 0, b""
    for code in codes:  # a clear code after each pixel keeps every code 3 bits wide
        bits, held = bits | code << held, held + width
        while held >= 8:
            data, bits, held = data + bytes([bits & 255]), bits >> 8, held - 8
    data += bytes([bits])
    path.write_bytes(head + control + frame + b"\x02" + bytes([len(data)]) + data + b"\x00\x3b")


def make_bmp(folder):
    coffee = photograph("coffee.png").crop((50, 50, 203, 170))
    coffee.save(folder / "bmp-rgb.bmp")
    coffee.convert("RGBA").save(folder / "bmp-rgba.bmp")
    coffee.convert("L").save(folder / "bmp-grey.bmp")
    coffee.convert("1").save(folder / "bmp-1bit.bmp")
    coffee.quantize(100).save(folder / "bmp-palette.bmp")
    coffee.quantize(12).save(folder / "bmp-palette-16.bmp")
    rgb = np.asarray(coffee.crop((0, 0, 30, 20)))
    bmp_rows(
        folder / "bmp-top-down.bmp",
        np.pad(rgb[..., ::-1].reshape(20, 90), ((0, 0), (0, 2))).tobytes(),
        30,
        -20,
        24,
        0,
        b"",
    )
    words = (
        (rgb[..., 0] >> 3).astype(np.uint16) << 11
        | (rgb[..., 1] >> 2).astype(np.uint16) << 5
        | rgb[..., 2] >> 3
    )
    bmp_rows(
        folder / "bmp-565.bmp",
        words[::-1].astype("<u2").tobytes(),
        30,
        20,
        16,
        3,
        struct.pack("<III", 0xF800, 0x7E0, 0x1F),
    )
    words = (
        (rgb[..., 0] >> 3).astype(np.uint16) << 10
        | (rgb[..., 1] >> 3).astype(np.uint16) << 5
        | rgb[..., 2] >> 3
    )
    bmp_rows(folder / "bmp-555.bmp", words[::-1].astype("<u2").tobytes(), 30, 20, 16, 0, b"")


def bmp_rows(path, rows, width, height, depth, compression, masks):
    start = 54 + len(masks)
    head = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start)
    head += struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, compression, len(rows), 2835, 2835, 0, 0)
    path.write_bytes(head + masks + rows)


def make_tiff(folder):
    coffee = photograph("coffee.png").crop((50, 50, 203, 170))
    for mode in ("RGB", "RGBA", "L", "LA", "CMYK", "1"):
        coffee.convert(mode).save(folder / f"tiff-{mode.lower()}.tif")
    coffee.quantize(100).save(folder / "tiff-palette.tif")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4"):
        mode = "1" if compression == "group4" else "RGB"
        coffee.convert(mode).save(
            folder / f"tiff-{compression.replace('tiff_', '')}.tif", compression=compression
        )
    coffee.save(folder / "tiff-lzw-predictor.tif", compression="tiff_lzw", tiffinfo={317: 2})
    for turn in (3, 6):
        coffee.save(folder / f"tiff-turned-{turn}.tif", tiffinfo={274: turn})
    Image.fromarray(np.asarray(coffee.convert("L")).astype(np.uint16) * 257).save(
        folder / "tiff-16bit-grey.tif"
    )
    coffee.save(folder / "tiff-two-pages.tif", save_all=True, append_images=[coffee.rotate(90)])


def make_sizes(folder):
    for width, height in [
        (1, 1),
        (10000, 3),
        (3, 10000),
        (1, 384),
        (384, 1),
        (383, 385),
        (384, 384),
        (56, 224),
        (1023, 767),
    ] + TALL:
        gradient(width, height).save(folder / f"size-{width}x{height}.png")
    for mode in ("L", "LA", "RGBA"):
        gradient(1, 1, mode).save(folder / f"size-1x1-{mode.lower()}.png")
    gradient(10000, 3).save(folder / "size-10000x3.jpg", quality=90)


def copy_photographs(folder):
    for path in sorted(PHOTOGRAPHS.iterdir()):
        if path.suffix in IMAGE_ENDINGS:
            shutil.copyfile(path, folder / f"skimage-{path.name}")


def make_web(folder):
    for name in COLOUR_PHOTOGRAPHS + ("hubble_deep_field.jpg", "ihc.png"):
        photograph(name).save(folder / f"{name.split('.')[0]}.jpg", quality=85)


def make_photographs_of_sizes(folder):
    photographs = [photograph(name) for name in COLOUR_PHOTOGRAPHS]
    for megapixels in (0.2, 0.5, 1, 4):
        (folder / f"{megapixels}").mkdir(exist_ok=True)
        for i, name in enumerate(COLOUR_PHOTOGRAPHS):
            at_size(photographs[i:] + photographs[:i], megapixels).save(
                folder / f"{megapixels}" / f"{name.split('.')[0]}.jpg", quality=85
            )


def at_size(photographs, megapixels):
    first = photographs[0]
    scale = (megapixels * 1e6 / (first.width * first.height)) ** 0.5
    if scale <= 1:
        return first.resize(
            (round(first.width * scale), round(first.height * scale)), Image.Resampling.LANCZOS
        )
    canvas = Image.new(
        "RGB", (round((megapixels * 1e6 * 4 / 3) ** 0.5), round((megapixels * 1e6 * 3 / 4) ** 0.5))
    )
    x = y = row = i = 0
    while y < canvas.height:
        one = photographs[i % len(photographs)]
        canvas.paste(one, (x, y))
        x, row, i = x + one.width, max(row, one.height), i + 1
        if x >= canvas.width:
            x, y, row = 0, y + row, 0
    return canvas


def main():
    options, folders = (
        set(sys.argv[1:]) & {"--web", "--sizes"},
        [one for one in sys.argv[1:] if not one.startswith("--")],
    )
    if len(folders) != 1 or len(options) > 1 or len(options) + 1 != len(sys.argv) - 1:
        sys.exit(__doc__)
    folder = pathlib.Path(folders[0])
    folder.mkdir(parents=True, exist_ok=True)
    steps = (copy_photographs, make_jpeg, make_png, make_webp, make_gif, make_bmp, make_tiff, make_sizes)
    chosen = {"--web": (make_web,), "--sizes": (make_photographs_of_sizes,)}
    for step in chosen[options.pop()] if options else steps:
        step(folder)


if __name__ == "__main__":
    main()
