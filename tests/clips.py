#!/usr/bin/env python3
"""Write clips for clips.rs as Parquet.

usage: clips.py damaged MADE.parquet OUT.parquet
       clips.py still QUESTIONS.parquet OUT.parquet

`damaged` writes six rows of generated clips, with frames as struct{bytes, path}: 0 unchanged, 1 with one
damaged frame and a null, 2 with damaged frames only, 3 without frames, 4 null, 5 with two frames. `still`
makes a clip of three equal frames of each picture.
"""

import sys

import pyarrow as pa
import pyarrow.parquet as pq


def damaged(table):
    rows = table.slice(0, 6).to_pylist()
    frames = [row["frames"] for row in rows]
    frames[1] = [b"no image", None, *frames[1][2:]]
    frames[2] = [b"no image"] * 8
    frames[3] = []
    frames[5] = frames[5][:2]
    item = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    clips = [[{"bytes": frame, "path": None} for frame in clip] for clip in frames]
    clips[4] = None
    at = table.schema.get_field_index("frames")
    return table.slice(0, 6).set_column(at, "frames", pa.array(clips, pa.list_(item)))


def still(table):
    clips = [[image.as_py()] * 3 for image in table["jpg"]]
    return table.append_column("frames", pa.array(clips, pa.list_(pa.binary())))


what, made, out = sys.argv[1:]
pq.write_table({"damaged": damaged, "still": still}[what](pq.read_table(made)), out)
