#!/usr/bin/env python3
"""Check the vectors of a ledger against its cosines; print the largest differences as JSON.

usage: embeddings.py JOB
"""

import json
import pathlib
import sys

import numpy as np
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
from tables import committed


def main():
    """Read the ledger and compare products of vectors with `itc`."""
    off_length, off_cosine, texts, unjudged = 0.0, 0.0, 0, 0
    for path in committed(pathlib.Path(sys.argv[1]))["ledger"]:
        table = pq.ParquetFile(path).read(use_threads=False)
        kind = str(table.schema.field("image_embedding").type)
        for row in table.to_pylist():
            if row["status"] != "judged":
                unjudged += row["image_embedding"] is not None
                continue
            image = np.array(row["image_embedding"], dtype=np.float32)
            off_length = max(off_length, abs(np.linalg.norm(image) - 1))
            for text in row["texts"]:
                if text["itc"] is None:
                    unjudged += text["embedding"] is not None
                    continue
                vector = np.array(text["embedding"], dtype=np.float32)
                off_length = max(off_length, abs(np.linalg.norm(vector) - 1))
                off_cosine = max(off_cosine, abs(float(image @ vector) - text["itc"]))
                texts += 1
    found = {
        "texts": texts,
        "type": kind,
        "most_off_length": float(off_length),
        "most_off_cosine": float(off_cosine),
        "unjudged_with_a_vector": unjudged,
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
