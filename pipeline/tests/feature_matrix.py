#!/usr/bin/env python3
"""Write small images that cover the features of each format, and Pillow's decoded pixels of each image.

usage: feature_matrix.py SEED OUT

For `name` the script writes `OUT/images/name` and `OUT/pillow/name.raw`, the bytes of `convert("RGB")`; with
an EXIF orientation also `name.turned.raw`. `index.tsv` has a line `name, width, height` per image, or
`name, error, message`. This file has its own writers of the formats, because common encoders do not write all
features; only the compressed data of JPEG, WebP and fax comes from Pillow and libtiff. The seed decides
everything.
"""

import io
import itertools
import pathlib
import random
import struct
import sys
import warnings
import zlib

from PIL import Image, ImageOps

le16, le32, be32 = struct.Struct("<H").pack, struct.Struct("<I").pack, struct.Struct(">I").pack


class Bits:
    """Codes of any length, packed from the lowest bit or from the highest."""

    def __init__(self, low_first):
        self.low_first, self.held, self.length, self.out = low_first, 0, 0, bytearray()

    def add(self, code, bits):
        self.held = self.held | code << self.length if self.low_first else self.held << bits | code
        self.length += bits
        while self.length >= 8:
            self.length -= 8
            if self.low_first:
                self.out.append(self.held & 255)
                self.held >>= 8
            else:
                self.out.append(self.held >> self.length)
                self.held &= (1 << self.length) - 1

    def finish(self):
        if self.length:
            self.add(0, 8 - self.length)
        return bytes(self.out)


def lzw(data, symbol_bits, low_first):
    """GIF's (lowest bit first) and TIFF's, which lengthens its codes one code early."""
    early, clear = 0 if low_first else 1, 1 << symbol_bits
    bits, table, width = Bits(low_first), {bytes([i]): i for i in range(clear)}, symbol_bits + 1
    bits.add(clear, width)
    following, held = clear + 2, b""
    for byte in data:
        longer = held + bytes([byte])
        if longer in table:
            held = longer
            continue
        bits.add(table[held], width)
        table[longer] = following
        following += 1
        if following + early > (1 << width) and width < 12:
            width += 1
        elif following + early >= 4095:
            bits.add(clear, width)
            table, width, following = {bytes([i]): i for i in range(clear)}, symbol_bits + 1, clear + 2
        held = bytes([byte])
    if held:
        bits.add(table[held], width)
        following += 1
        if following + early > (1 << width) and width < 12:
            width += 1
    bits.add(clear + 1, width)
    return bits.finish()


def packbits(data):
    out = bytearray()
    while data:
        run = len(data[:128]) - len(data[:128].lstrip(data[:1]))
        if run > 1:
            out += bytes([257 - run]) + data[:1]
        else:
            run = next(
                (i for i in range(1, min(128, len(data)) - 1) if data[i] == data[i + 1]), min(128, len(data))
            )
            out += bytes([run - 1]) + data[:run]
        data = data[run:]
    return bytes(out)


def size(r, most=40):
    """Narrow and low ones often: there most goes wrong."""
    return tuple(r.choice((r.randint(1, 9), r.randint(1, most))) for _ in range(2))


def samples(r, count, highest):
    """Runs and noise."""
    out = []
    while len(out) < count:
        out += (
            [r.randint(0, highest)] * r.choice((1, 1, 1, 2, 5, 40))
            if r.random() < 0.5
            else [r.randint(0, highest) for _ in range(8)]
        )
    return out[:count]


def packed(rows, bits):
    """(rows, samples) to bytes, each row beginning at one."""
    out = b""
    for row in rows:
        line = Bits(False)
        for sample in row:
            line.add(sample, bits)
        out += line.finish()
    return out


# GIF


def gif_palette(r, bits, kind):
    count = 1 << bits
    return b"".join(bytes([i, i, i]) if kind == "ramp" else r.randbytes(3) for i in range(count))


def gif_frame(r, width, height, interlaced, palette, left=0, top=0, bits=None, highest=None):
    bits = bits or r.randint(2, 8)
    highest = highest if highest is not None else (1 << bits) - 1
    rows = [samples(r, width, highest) for _ in range(height)]
    order = (
        [y for first, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for y in range(first, height, step)]
        if interlaced
        else range(height)
    )
    data = lzw(bytes(s for y in order for s in rows[y]), bits, True)
    blocks = (
        b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
        + b"\0"
    )
    table = b"" if palette is None else gif_palette(r, palette[0], palette[1])
    flags = (0x40 if interlaced else 0) | (0 if palette is None else 0x80 | palette[0] - 1)
    return (
        b","
        + b"".join(map(le16, (left, top, width, height)))
        + bytes([flags])
        + table
        + bytes([bits])
        + blocks
    )


def gif(r, interlaced, screen_palette, frame_palette, transparent, disposal, place):
    width, height = size(r)
    left, top, screen = {
        "whole": (0, 0, (width, height)),
        "inside": (2, 3, (width + 5, height + 4)),
        "past": (4, 1, (max(1, width - 2), height)),
    }[place]
    table = b"" if screen_palette is None else gif_palette(r, *screen_palette)
    flags = 0 if screen_palette is None else 0x80 | screen_palette[0] - 1
    control = (
        b"!\xf9\4"
        + bytes([disposal << 2 | (transparent is not None)])
        + b"\0\0"
        + bytes([transparent or 0])
        + b"\0"
    )
    comment = b"!\xfe\5hello\0" if r.random() < 0.3 else b""
    frames = gif_frame(r, width, height, interlaced, frame_palette, left, top)
    if disposal:
        frames += control + gif_frame(r, 1, 1, False, None)
    return (
        b"GIF89a"
        + b"".join(map(le16, screen))
        + bytes([flags, r.choice((0, 1)), 0])
        + table
        + comment
        + control
        + frames
        + b";"
    )


def gifs(r):
    palettes = (None, (2, "noise"), (8, "noise"), (3, "ramp"), (8, "ramp"))
    for interlaced, place, screen, frame in itertools.product(
        (False, True), ("whole", "inside", "past"), palettes, palettes
    ):
        transparent = r.choice((None, 0, 3, 200))
        yield (
            f"{interlaced}-{place}-{screen}-{frame}-{transparent}.gif",
            gif(r, interlaced, screen, frame, transparent, r.choice((0, 1, 2, 3)), place),
        )


# PNG


def chunk(name, data, sum=None):
    return be32(len(data)) + name + data + be32(zlib.crc32(name + data) if sum is None else sum)


PNG_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def png_filtered(r, lines, pixel_bytes):
    """Lines with filters chosen at random."""
    out, before = b"", b""
    for line in lines:
        before, kind = (
            before.rjust(len(line), b"\0") if len(before) == len(line) else bytes(len(line)),
            r.randint(0, 4),
        )
        done = bytearray()
        for i, byte in enumerate(line):
            a, b, c = (
                (line[i - pixel_bytes] if i >= pixel_bytes else 0),
                before[i],
                (before[i - pixel_bytes] if i >= pixel_bytes else 0),
            )
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            done.append(byte - (0, a, b, (a + b) // 2, paeth)[kind] & 255)
        out += bytes([kind]) + done
        before = line
    return out


def png(r, kind, bits, interlaced, extra="", colours=None):
    (width, height), channels = size(r), {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    highest = min((1 << bits) - 1, (colours or 256) - 1) if kind == 3 else (1 << bits) - 1
    if kind == 3 and "past" in extra:
        highest = (1 << bits) - 1
    rows = [[samples(r, channels, highest) for _ in range(width)] for _ in range(height)]
    if kind == 0 and bits == 16:
        rows = [[[s[0] if r.random() < 0.5 else s[0] & 255] for s in row] for row in rows]
    passes = PNG_PASSES if interlaced else ((0, 0, 1, 1),)
    data = b""
    for left, top, across, down in passes:
        lines = [
            packed([[s for pixel in rows[y][left::across] for s in pixel]], bits)
            for y in range(top, height, down)
        ]
        if width > left:
            data += png_filtered(r, lines, max(1, channels * bits // 8))
    data = zlib.compress(data, r.choice((0, 1, 9)))
    if "adler" in extra:
        data = data[:-4] + b"\1\2\3\4"
    cut = r.randint(0, len(data))
    sum = 1 if "idat" in extra else None
    idat = chunk(b"IDAT", data[:cut], sum) + chunk(b"IDAT", data[cut:], sum)
    if "tail" in extra:
        idat = chunk(b"IDAT", data + b"rest", sum)
    palette = r.randbytes(3 * (colours or 1 << bits)) if kind == 3 else b""
    if "61" in extra:
        palette += b"\x07"
    before = chunk(b"PLTE", palette) if palette else b""
    if "exif" in extra:
        exif = chunk(
            b"eXIf", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1" + bytes([0, r.randint(1, 8), 0, 0]) + bytes(4)
        )
        before, idat = (before, idat + exif) if "after" in extra else (before + exif, idat)
    if "trns" in extra:
        before += chunk(
            b"tRNS", {0: b"\0\1", 2: b"\0\1\0\2\0\3", 3: r.randbytes(max(1, len(palette) // 6))}[kind]
        )
    if "iccp" in extra:
        before = (
            chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(3000))[: 40 if "broken" in extra else None])
            + before
        )
    if "apng" in extra:
        control = be32(width) + be32(height) + bytes(8) + bytes([0, 1, 0, 10, 0, 0])
        before += chunk(b"acTL", be32(2) + be32(0)) + chunk(b"fcTL", be32(0) + control)
        idat += chunk(b"fcTL", be32(1) + control) + chunk(b"fdAT", be32(2) + data)
    if "text" in extra:
        idat += chunk(b"tEXt", b"a\0b", 7 if "bad" in extra else None)
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + before
        + idat
        + (b"" if "end" in extra else chunk(b"IEND", b""))
    )


def pngs(r):
    kinds = (
        [(0, b) for b in (1, 2, 4, 8, 16)]
        + [(2, 8), (2, 16)]
        + [(3, b) for b in (1, 2, 4, 8)]
        + [(4, 8), (4, 16), (6, 8), (6, 16)]
    )
    extras = (
        "",
        "trns",
        "idat",
        "adler",
        "iccp",
        "iccp broken",
        "apng",
        "text",
        "text bad",
        "tail",
        "no end",
    )
    for (kind, bits), interlaced in itertools.product(kinds, (False, True)):
        for extra in ["", *r.sample(extras, 3)]:
            if "trns" in extra and kind in (4, 6):
                continue
            yield f"{kind}-{bits}-{interlaced}-{extra}.png", png(r, kind, bits, interlaced, extra)
    for kind, after in itertools.product((0, 2, 3, 6), ("", "-after") * 3):
        yield f"exif{after}-{kind}.png", png(r, kind, 8, r.random() < 0.5, f"exif{after}")
    for bits, colours, extra in (
        (8, 20, "61"),
        (8, 20, "past"),
        (4, 3, "past"),
        (8, 256, "61"),
        (8, 300, ""),
        (2, 4, "61 trns"),
    ):
        yield f"palette-{bits}-{colours}-{extra}.png", png(r, 3, bits, False, extra, colours)


# BMP


def bmp_runs(r, rows, bits):
    """Runs, absolute runs, short rows and skips. What is skipped is no longer in `rows`."""
    out, y = b"", 0
    while y < len(rows):
        row, x = rows[y], 0
        short = r.random() < 0.2
        while x < len(row) - (len(row) // 2 if short else 0):
            left = len(row) - x
            kind = r.random()
            if kind < 0.1 and left > 3:
                skip = r.randint(1, left - 1)
                out += bytes([0, 2, skip, 0])
                x += skip
            elif kind < 0.4 and left >= 3:
                count = r.randint(3, min(left, 20))
                data = packed([row[x : x + count]], bits)
                out += bytes([0, count]) + data + b"\0" * (len(data) % 2)
                x += count
            else:
                count = r.randint(1, min(left, 5))
                index = r.randint(0, (1 << bits) - 1)
                out += bytes([count, index << 4 | r.randint(0, 15) if bits == 4 else index])
                x += count
        down = r.randint(1, 2)
        if r.random() < 0.1 and y + down < len(rows) - 1 and x < len(row):
            out += bytes([0, 2, 0, down])
            y += down
            out += b"\0\0"
        else:
            out += b"\0\0"
        y += 1
    return out + b"\0\1"


def bmp(
    r, header, bits, compression, top_down=False, colours=None, palette="noise", offset="right", masks=None
):
    width, height = size(r)
    count = colours or (1 << bits if bits <= 8 else 0)
    greys = [0, 255] if count == 2 else range(count)
    pad = b"" if header == 12 else b"\0"
    table = b"".join(
        (bytes([greys[i] & 255] * 3) if palette == "ramp" else r.randbytes(3)) + pad for i in range(count)
    )
    if compression in (1, 2):
        data = bmp_runs(r, [samples(r, width, (1 << bits) - 1) for _ in range(height)], bits)
    elif bits <= 8:
        rows = [samples(r, width, (1 << bits) - 1) for _ in range(height)]
        data = b"".join(line + bytes(-len(line) % 4) for line in (packed([row], bits) for row in rows))
    else:
        data = b"".join(
            line + bytes(-len(line) % 4) for line in (r.randbytes(width * bits // 8) for _ in range(height))
        )
    after = b"".join(map(le32, masks)) if masks else b""
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack(
            "<IiiHHIIiiII",
            header,
            width,
            -height if top_down else height,
            1,
            bits,
            compression,
            len(data),
            0,
            0,
            colours or 0,
            0,
        )
        info += (after if header > 40 else b"").ljust(header - 40, b"\0")
    after = after if header == 40 else b""
    begin = {"right": 14 + len(info) + len(after) + len(table), "zero": 0, "header": 14 + header}[offset]
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, begin) + info + after + table + data


def bmps(r):
    for header, bits, top_down in itertools.product(
        (12, 40, 52, 56, 64, 108, 124), (1, 4, 8, 16, 24, 32), (False, True)
    ):
        if header == 12 and (top_down or bits in (16, 32)):
            continue
        offset = r.choice(("right", "zero", "header")) if bits <= 8 else r.choice(("right", "zero"))
        yield f"{header}-{bits}-{top_down}-{offset}.bmp", bmp(r, header, bits, 0, top_down, offset=offset)
    for bits, top_down in itertools.product((4, 8), (False, True) * 8):
        yield f"runs-{bits}-{top_down}.bmp", bmp(r, 40, bits, 2 if bits == 4 else 1, top_down)
    yield "runs-ramp.bmp", bmp(r, 40, 8, 1, palette="ramp")
    yield "runs-few-colours.bmp", bmp(r, 40, 8, 1, colours=99)
    for bits, colours, palette in (
        (1, 2, "ramp"),
        (1, 1, "noise"),
        (4, 16, "ramp"),
        (4, 5, "noise"),
        (8, 256, "ramp"),
        (8, 2, "ramp"),
        (8, 2, "noise"),
        (8, 100, "noise"),
        (8, 100, "ramp"),
        (8, 300, "noise"),
    ):
        yield f"palette-{bits}-{colours}-{palette}.bmp", bmp(r, 40, bits, 0, colours=colours, palette=palette)
    short = ((0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0), (0xF00, 0xF0, 0xF, 0))
    long = (
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
        (0, 0, 0, 0),
        (0x3FF00000, 0xFFC00, 0x3FF, 0),
    )
    for header, (bits, masks) in itertools.product(
        (40, 52, 56, 108, 124), [(16, m) for m in short] + [(24, long[0])] + [(32, m) for m in long]
    ):
        masks = masks[:3] if header < 56 else masks
        yield (
            f"masks-{header}-{bits}-{'-'.join(f'{m:x}' for m in masks)}.bmp",
            bmp(r, header, bits, 3, masks=masks),
        )


# TIFF


def tiff_pieces(r, rows, layout, planar, bits):
    """(rows, pixels, samples) as strips or tiles, each a list of rows of samples; and its tags."""
    height, width = len(rows), len(rows[0])
    planes = (
        [[[[pixel[s]] for pixel in row] for row in rows] for s in range(len(rows[0][0]))]
        if planar
        else [rows]
    )
    if layout == "tiles":
        side, pieces = 16, []
        for plane in planes:
            none = [0] * len(plane[0][0])
            for top, left in itertools.product(range(0, height, side), range(0, width, side)):
                tile = [(row[left : left + side] + [none] * side)[:side] for row in plane[top : top + side]]
                pieces.append(tile + [[none] * side] * (side - len(tile)))
        return pieces, {322: side, 323: side}
    step = height if layout == "strip" else r.randint(1, height)
    return [plane[top : top + step] for plane in planes for top in range(0, height, step)], {278: step}


def tiff(
    r,
    photometric,
    bits,
    count,
    extra=(),
    format=None,
    compression=1,
    predictor=1,
    fill=1,
    planar=False,
    layout="strip",
    big_endian=False,
    big=False,
    orientation=None,
    white=False,
):
    width, height = size(r, 36)
    order = ">" if big_endian else "<"
    highest = (1 << bits) - 1
    rows = [[samples(r, count, highest) for _ in range(width)] for _ in range(height)]
    if bits >= 16 and count == 1:
        rows = [[[s[0] if r.random() < 0.5 else s[0] & 255] for s in row] for row in rows]
    pieces, tags = tiff_pieces(r, rows, layout, planar, bits)

    def stored(piece):
        out, channels = b"", len(piece[0][0])
        for row in piece:
            flat = [s for pixel in row for s in pixel]
            if predictor == 2:
                flat = flat[:channels] + [
                    (flat[i] - flat[i - channels]) & highest for i in range(channels, len(flat))
                ]
            if bits in (16, 32):
                out += b"".join(struct.pack(order + ("H" if bits == 16 else "I"), s) for s in flat)
            else:
                out += packed([flat], bits)
        if compression == 32773:  # a row at a time
            length = len(out) // len(piece)
            out = b"".join(packbits(out[i : i + length]) for i in range(0, len(out), length))
        out = {
            1: lambda d: d,
            5: lambda d: lzw(d, 8, False),
            8: zlib.compress,
            32946: zlib.compress,
            32773: lambda d: d,
        }[compression](out)
        return out.translate(bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))) if fill == 2 else out

    data = [stored(piece) for piece in pieces]
    tags |= {
        256: width,
        257: height,
        258: (bits,) * count,
        259: compression,
        262: photometric,
        277: count,
        284: 2 if planar else 1,
    }
    tags |= {317: predictor} if predictor > 1 else {}
    tags |= {266: fill} if fill > 1 else {}
    tags |= {338: tuple(extra)} if extra else {}
    tags |= {339: (format,) * count} if format else {}
    tags |= {274: orientation} if orientation else {}
    if photometric == 3:
        tags[320] = tuple(r.randint(0, 65535) for _ in range(3 << bits))
    if photometric == 6:
        tags[530] = (1, 1)
    offsets, lengths = (324, 325) if layout == "tiles" else (273, 279)
    tags |= {offsets: (0,) * len(data), lengths: tuple(map(len, data))}
    return tiff_file(tags, data, offsets, order, big)


def tiff_file(tags, data, offsets, order, big):
    wide = "Q" if big else "I"
    kinds = {t: ("I" if t in (256, 257, 273, 279, 324, 325) else "H") for t in tags}
    entry = 20 if big else 12
    begin, head = (16, 8) if big else (8, 2)
    at = begin + head + entry * len(tags) + (8 if big else 4)
    values = {}
    for tag, value in tags.items():
        value = value if isinstance(value, tuple) else (value,)
        values[tag] = [
            value,
            at if struct.calcsize("<" + kinds[tag]) * len(value) > (8 if big else 4) else None,
        ]
        if values[tag][1]:
            at += struct.calcsize("<" + kinds[tag]) * len(value)
    at += at % 2
    places = []
    for piece in data:
        places.append(at)
        at += len(piece) + len(piece) % 2
    values[offsets][0] = tuple(places)
    magic = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    out = magic + (struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8))
    out += struct.pack(order + ("Q" if big else "H"), len(tags))
    later = b""
    for tag in sorted(values):
        value, place = values[tag]
        packed_value = struct.pack(f"{order}{len(value)}{kinds[tag]}", *value)
        out += struct.pack(order + "HH" + wide, tag, 4 if kinds[tag] == "I" else 3, len(value))
        out += struct.pack(order + wide, place) if place else packed_value.ljust(8 if big else 4, b"\0")
    out += bytes(8 if big else 4)
    for tag, (value, place) in values.items():
        if place:
            later += struct.pack(f"{order}{len(value)}{kinds[tag]}", *value)
    out += later
    for place, piece in zip(places, data):
        out = out.ljust(place, b"\0") + piece
    return out


TIFF_KINDS = (
    [(p, b, 1, (), None) for p in (0, 1) for b in (1, 2, 4, 8, 16)]
    + [
        (1, 12, 1, (), None),
        (1, 8, 1, (), 2),
        (1, 16, 1, (), 2),
        (1, 32, 1, (), 1),
        (1, 32, 1, (), 2),
        (1, 32, 1, (), 3),
        (0, 32, 1, (), 3),
    ]
    + [(1, 8, 2, e, None) for e in ((0,), (1,), (2,))]
    + [(2, b, 3, (), None) for b in (8, 16)]
    + [(2, b, 4, e, None) for b in (8, 16) for e in ((), (0,), (1,), (2,))]
    + [
        (2, 8, n, e, None)
        for n, e in (
            (5, (0, 0)),
            (5, (1, 0)),
            (5, (2, 0)),
            (6, (1, 0, 0)),
            (6, (2, 0, 0)),
            (6, (0, 0, 0)),
            (4, (999,)),
        )
    ]
    + [(3, b, 1, (), None) for b in (1, 2, 4, 8)]
    + [(3, 8, 2, (0,), None), (3, 8, 2, (2,), None)]
    + [
        (5, 8, 4, (), None),
        (5, 16, 4, (), None),
        (5, 8, 5, (0,), None),
        (5, 8, 6, (0, 0), None),
        (6, 8, 1, (), None),
        (6, 8, 3, (), None),
        (8, 8, 3, (), None),
    ]
)


def tiffs(r):
    for kind, compression, big_endian in itertools.product(TIFF_KINDS, (1, 5, 8, 32773), (False, True)):
        photometric, bits, count, extra, format = kind
        layout, planar = r.choice(("strip", "strips", "tiles")), count > 1 and r.random() < 0.3
        predictor = 2 if compression in (5, 8) and bits in (8, 16) and r.random() < 0.5 else 1
        fill = 2 if r.random() < 0.3 else 1
        name = f"p{photometric}-{bits}x{count}-{extra}-f{format}-c{compression}-{layout}"
        name += f"{'-planar' * planar}{'-predicted' * (predictor > 1)}"
        name += f"{'-reversed' * (fill > 1)}{'-big-endian' * big_endian}"
        yield (
            f"{name.replace(' ', '')}.tif",
            tiff(
                r,
                photometric,
                bits,
                count,
                extra,
                format,
                compression,
                predictor,
                fill,
                planar,
                layout,
                big_endian,
                r.random() < 0.2,
            ),
        )
    for orientation in range(1, 9):
        yield (
            f"orientation-{orientation}.tif",
            tiff(r, 2, 8, 3, compression=r.choice((1, 5)), orientation=orientation),
        )
    for mode, compression in itertools.product(
        ("1", "L", "RGB", "YCbCr", "CMYK"), ("group3", "group4", "jpeg", "tiff_ccitt", "tiff_lzw")
    ):
        if (mode == "1") == (compression in ("group3", "group4", "tiff_ccitt")) and not (
            mode in ("YCbCr", "CMYK") and compression != "jpeg"
        ):
            yield (
                f"libtiff-{mode}-{compression}.tif",
                saved(picture(r, mode), "TIFF", compression=compression),
            )


# JPEG and WebP


def picture(r, mode="RGB", dimensions=None):
    width, height = dimensions or size(r, 60)
    image = Image.frombytes("RGB", (3, 3), r.randbytes(27)).resize((width, height), Image.Resampling.BICUBIC)
    noise = Image.frombytes("RGB", (width, height), r.randbytes(3 * width * height))
    image = Image.blend(image, noise, 0.2)
    if mode in ("RGBA", "LA"):
        image.putalpha(
            Image.frombytes(
                "L", (width, height), bytes(r.choice((0, 1, 128, 255)) for _ in range(width * height))
            )
        )
        return image
    return image.convert(mode)


def saved(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def jpegs(r):
    for mode, progressive, subsampling, restart in itertools.product(
        ("L", "RGB", "CMYK"), (False, True), ("4:4:4", "4:2:2", "4:2:0"), (0, 1)
    ):
        options = dict(
            quality=r.choice((30, 75, 95)),
            progressive=progressive,
            subsampling=subsampling,
            restart_marker_blocks=restart,
        )
        data = saved(picture(r, mode), "JPEG", **options)
        name = f"{mode}-{progressive}-{subsampling.replace(':', '')}-{restart}"
        yield f"{name}.jpg", data
        if mode == "CMYK":
            at = data.find(b"Adobe")
            for transform in (0, 1, 2):
                yield f"{name}-adobe-{transform}.jpg", data[: at + 11] + bytes([transform]) + data[at + 12 :]
            yield f"{name}-no-adobe.jpg", data[: at - 4] + data[at + 12 :]
    yield "rgb.jpg", saved(picture(r), "JPEG", keep_rgb=True)
    data = saved(picture(r), "JPEG")
    at = data.find(b"\xff\xc0")
    yield "12-bit.jpg", data[: at + 4] + b"\x0c" + data[at + 5 :]
    yield "arithmetic.jpg", data[: at + 1] + b"\xc9" + data[at + 2 :]
    yield "fill-bytes.jpg", data[:at] + b"\xff\xff\xff" + data[at:]
    yield "comments.jpg", data[:2] + b"\xff\xfe\0\2" * 50 + data[2:] + b"after the end"
    exif = Image.Exif()
    for exif[0x112] in range(1, 9):
        yield f"exif-{exif[0x112]}.jpg", saved(picture(r), "JPEG", exif=exif)
    for dimensions in ((1, 1), (2000, 1), (1, 2000), (7, 500), (500, 2)):
        for subsampling, progressive in itertools.product(("4:4:4", "4:2:2", "4:2:0"), (False, True)):
            yield (
                f"{dimensions[0]}x{dimensions[1]}-{subsampling.replace(':', '')}-{progressive}.jpg",
                saved(
                    picture(r, "RGB", dimensions), "JPEG", subsampling=subsampling, progressive=progressive
                ),
            )


def riff(body):
    return b"RIFF" + le32(4 + len(body)) + b"WEBP" + body


def riff_chunk(name, data):
    return name + le32(len(data)) + data + b"\0" * (len(data) % 2)


def webp_streams(data):
    """The chunks of pixels and alpha of a WebP."""
    at, out = 12, {}
    while at < len(data):
        name, length = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        out[name] = data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return {name: chunk for name, chunk in out.items() if name in (b"VP8 ", b"VP8L", b"ALPH")}


def webps(r):
    def le24(number):
        return le32(number)[:3]

    for mode, lossless, place, blended in itertools.product(
        ("RGB", "RGBA"), (False, True), ("plain", "extended", "whole frame", "frame inside"), (False, True)
    ):
        if place in ("plain", "extended") and blended:
            continue
        image = picture(r, mode)
        width, height = image.size
        data = saved(image, "WEBP", lossless=lossless, quality=r.choice((20, 80)), exact=r.random() < 0.5)
        streams = webp_streams(data)
        chunks = b"".join(riff_chunk(name, chunk) for name, chunk in streams.items())
        if place == "extended":
            data = riff(
                riff_chunk(b"VP8X", bytes([0x10, 0, 0, 0]) + le24(width - 1) + le24(height - 1)) + chunks
            )
        elif place != "plain":
            left, top, canvas = (
                (0, 0, (width, height)) if place == "whole frame" else (4, 2, (width + 7, height + 9))
            )
            head = riff_chunk(
                b"VP8X", bytes([0x12, 0, 0, 0]) + le24(canvas[0] - 1) + le24(canvas[1] - 1)
            ) + riff_chunk(b"ANIM", r.randbytes(4) + b"\0\0")
            frame = (
                le24(left // 2)
                + le24(top // 2)
                + le24(width - 1)
                + le24(height - 1)
                + le24(100)
                + bytes([0 if blended else 2])
                + chunks
            )
            data = riff(head + riff_chunk(b"ANMF", frame) * r.choice((1, 2)))
        yield f"{mode}-{lossless}-{place}-{blended}.webp".replace(" ", "-"), data
    for dimensions in ((1, 1), (2, 1), (1, 400), (400, 1), (17, 33)):
        for lossless in (False, True):
            yield (
                f"{dimensions[0]}x{dimensions[1]}-{lossless}.webp",
                saved(picture(r, "RGB", dimensions), "WEBP", lossless=lossless),
            )
    exif = Image.Exif()
    for exif[0x112], lossless in itertools.product(range(1, 9), (False, True)):
        yield f"exif-{exif[0x112]}-{lossless}.webp", saved(picture(r), "WEBP", lossless=lossless, exif=exif)
    frames = [picture(r, "RGBA", (20, 30)) for _ in range(3)]
    yield "animated.webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])


def decode(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(io.BytesIO(data)).convert("RGB")


if __name__ == "__main__":
    r, out = random.Random(int(sys.argv[1])), pathlib.Path(sys.argv[2])
    (out / "images").mkdir(parents=True)
    (out / "pillow").mkdir()
    lines = []
    for number, (name, data) in enumerate(
        itertools.chain(gifs(r), pngs(r), bmps(r), tiffs(r), jpegs(r), webps(r))
    ):
        name = f"{number:04}-{name}"
        (out / "images" / name).write_bytes(data)
        try:
            image = decode(data)
        except Exception as error:
            lines.append(f"{name}\terror\t{type(error).__name__}: {error}".replace("\n", " "))
            continue
        (out / "pillow" / f"{name}.raw").write_bytes(image.tobytes())
        if "exif" in name:
            turned = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
            (out / "pillow" / f"{name}.turned.raw").write_bytes(turned.tobytes())
        lines.append(f"{name}\t{image.width}\t{image.height}")
    (out / "index.tsv").write_text("".join(line + "\n" for line in lines))
