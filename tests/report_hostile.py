#!/usr/bin/env python3
"""Write a Parquet input whose captions and keys act in a browser if a page does not escape them.

usage: report_hostile.py FILE [TEXTS]

TEXTS, if named, becomes a JSON list of the texts.
"""

import io
import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "</script><script>alert(1)</script>",
    "<a href='javascript:alert(1)'>click</a>",
    "<svg onload=alert(1)>",
    "<img src=http://127.0.0.1:9/x.png>",
    "<style>@import url(http://127.0.0.1:9/x.css)</style>",
    "\u202etxet desrever\u2066",
    "zero\0byte and \x1b[2J",
    "x" * 10_240,
    "&lt;b&gt; ]]> <!-- -->",
    "a dog",
]


def picture(number):
    with io.BytesIO() as out:
        Image.new("RGB", (48, 32), (number * 19 % 256, 90, 160)).save(out, "PNG")
        return out.getvalue()


def main():
    number = range(4 * len(HOSTILE))
    texts = [HOSTILE[i % len(HOSTILE)] for i in number]
    images = [b"<svg onload=alert(1)>" if i % 26 == 25 else picture(i) for i in number]
    table = pa.table({"key": texts, "jpg": pa.array(images, pa.binary()), "caption": texts})
    pq.write_table(table, sys.argv[1], row_group_size=4)
    if len(sys.argv) > 2:
        pathlib.Path(sys.argv[2]).write_text(json.dumps(HOSTILE))


if __name__ == "__main__":
    main()
