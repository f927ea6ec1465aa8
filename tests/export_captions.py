"""Join an export of captions with the tars of its job's input, by the recipe of docs/exports.md.

usage: export_captions.py EXPORT TARS    prints the numbers of matched samples, images and captions as JSON
"""

import json
import os
import pathlib
import sys

import pyarrow.parquet as pq
import webdataset as wds


def main():
    data, tars = pathlib.Path(sys.argv[1]) / "data", sorted(map(str, pathlib.Path(sys.argv[2]).glob("*.tar")))
    rows = [row for file in sorted(data.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    captions = {(row["file"], row["key"]): row["captions"] for row in rows}
    assert len(captions) == len(rows), "two rows have one key"

    def with_captions(sample):
        found = captions.get((os.path.basename(sample["__url__"]), sample["__key__"]))
        return {**sample, "captions": found} if found else None

    dataset = wds.WebDataset(tars, shardshuffle=False).decode("pil").map(with_captions)
    joined = list(dataset)
    for sample in joined:
        assert {caption["source"] for caption in sample["captions"]} <= {"txt", "synthetic", "caption"}
    json.dump(
        {
            "matched": len(joined),
            "images": sum(sample["jpg"].size[0] > 0 for sample in joined),
            "captions": sum(len(sample["captions"]) for sample in joined),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
