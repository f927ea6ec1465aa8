#!/usr/bin/env python3
"""Compare a ledger's image hashes with dHash by Pillow; print the differences in bits as JSON.

usage: image_hashes.py JOB INPUT.parquet
"""

import collections
import io
import json
import pathlib
import sys

import pyarrow.parquet as pq
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
from tables import committed

# Grey levels of 255: a smaller difference of two areas may have another sign after the filter's resizing.
CLEAR = 8


def dhash(image):
    """Return dHash by Pillow, and a mask of the bits whose two areas clearly differ.

    Rows of nine grey pixels, a bit where a pixel is lighter than its left neighbour.
    """
    grey = image.convert("RGB").convert("L").resize((9, 8), Image.Resampling.BOX)
    pixels = list(grey.tobytes())
    steps = [pixels[9 * y + x + 1] - pixels[9 * y + x] for y in range(8) for x in range(8)]
    bits = sum((step > 0) << (63 - i) for i, step in enumerate(steps))
    return bits, sum((abs(step) >= CLEAR) << (63 - i) for i, step in enumerate(steps))


def main():
    """Read both tables and compare row by row."""
    job, source = map(pathlib.Path, sys.argv[1:])
    paths = committed(job)["ledger"]
    ledger = [row for path in paths for row in pq.ParquetFile(path).read(use_threads=False).to_pylist()]
    images = pq.read_table(source, columns=["jpg"])["jpg"].to_pylist()
    bits, clear, by_digest, hashes = [], 0, collections.defaultdict(set), []
    for row in ledger:
        if row["status"] != "judged":
            assert row["image_hash"] is None, row
            continue
        image = images[row["row"]]
        image = image["bytes"] if isinstance(image, dict) else image
        expected, mask = dhash(Image.open(io.BytesIO(image)))
        bits.append(((row["image_hash"] ^ expected) & mask).bit_count())
        clear += mask.bit_count()
        by_digest[row["image_sha256"]].add(row["image_hash"])
        hashes.append(row["image_hash"])
    others = [(a ^ b).bit_count() for a, b in zip(hashes, hashes[1:])]
    found = {
        "images": len(bits),
        "clear_bits": clear,
        "other_bits": sum(bits),
        "mean_bits_of_others": sum(others) / len(others),
        "unequal_duplicates": sum(len(found) > 1 for found in by_digest.values()),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
