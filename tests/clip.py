#!/usr/bin/env python3
"""Compare the CLIP scores of a job with a reference in numpy; print the largest differences as JSON.

usage: clip.py JOB INPUT.parquet CLIP

The reference computes as transformers' CLIPModel does (scripts/clip_reference.py); images are prepared with
Pillow, and texts are tokenized by transformers.
"""

import io
import json
import pathlib
import sys

import pyarrow.parquet as pq
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "scripts"))
from clip_reference import Clip
from tables import committed


def main():
    """Read the ledger and the pairs, and score every judged text again."""
    job, source, model = sys.argv[1:]
    clip = Clip(model)
    images = dict(
        zip(*(pq.read_table(source, columns=["key", "jpg"])[name].to_pylist() for name in ("key", "jpg")))
    )
    tables = committed(pathlib.Path(job))
    texts, unjudged, most, low, high, kept = 0, 0, 0.0, 100.0, -100.0, {}
    for path in tables["ledger"]:
        for row in pq.ParquetFile(path).read(use_threads=False).to_pylist():
            judged = [text for text in row["texts"] if text["itm"] is not None]
            unjudged += sum(text["itm"] is None and text["clip"] is not None for text in row["texts"])
            kept[row["key"]] = [(text["text"], text["clip"]) for text in row["texts"] if text["kept"]]
            if not judged:
                continue
            image = Image.open(io.BytesIO(images[row["key"]]))
            for text, score in zip(judged, clip.score([image], [text["text"] for text in judged])[0]):
                most = max(most, abs(float(score) - text["clip"]))
                low, high = min(low, text["clip"]), max(high, text["clip"])
                texts += 1
    pairs = 0
    for path in tables["pairs"]:
        for row in pq.ParquetFile(path).read(use_threads=False).to_pylist():
            assert [(text["text"], text["clip"]) for text in row["texts"]] == kept[row["key"]], row["key"]
            pairs += 1
    found = {"texts": texts, "pairs": pairs, "most": most, "low": low, "high": high, "unjudged": unjudged}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
