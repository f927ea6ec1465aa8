"""Write web rows with several texts each, or run the queries of docs/texts.md. Prints one JSON object.

usage: texts.py make FOLDER              `several`, `alone` (one text per row and column), `lists` (odd lists)
       texts.py query LEDGERS PAIRS      rows of each query; the files are separated by commas
"""

import json
import pathlib
import re
import sys

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = 48


def write(path, columns):
    path.mkdir(parents=True)
    pq.write_table(pa.table(columns), path / "a.parquet", row_group_size=16)


def make(folder):
    source = pq.read_table(ROOT / "tests/data/web/web-00000.parquet").slice(0, ROWS)
    images = {name: source[name] for name in ("key", "jpg")}
    captions = source["caption"].to_pylist()
    shifted = [captions[at:] + captions[:at] for at in range(5)]
    texts = {
        "alt_text": shifted[0],
        "vlm": [None if row % 7 == 3 else text for row, text in enumerate(shifted[1])],
        "tags": [list(row) for row in zip(*shifted[2:])],
    }
    write(folder / "several", {**images, **texts})
    alone = {f"tag_{at}": [tags[at] for tags in texts["tags"]] for at in range(3)}
    write(folder / "alone", {**images, "alt_text": texts["alt_text"], "vlm": texts["vlm"], **alone})
    odd = [
        None,
        [],
        [None],
        [""],
        ["***", "a red circle"],
        ["a blue square"] * 10_000,
        [b"\xff\xfe", b"a dog"],
    ]
    odd = [None if row is None else [as_bytes(text) for text in row] for row in odd]
    odd = pa.array(odd, pa.list_(pa.binary()))
    write(
        folder / "lists", {name: column.slice(0, len(odd)) for name, column in images.items()} | {"tags": odd}
    )
    return {}


def as_bytes(text):
    return text.encode() if isinstance(text, str) else text


def query(ledgers, pairs):
    import duckdb

    page = (ROOT / "docs/texts.md").read_text()
    queries = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    found = []
    for number, text in enumerate(queries):
        files = pairs if number == len(queries) - 1 else ledgers
        relation = duckdb.sql(text.replace("FILES", f"read_parquet({files.split(',')})"))
        found.append([dict(zip(relation.columns, row)) for row in relation.fetchall()])
    return {"queries": queries, "rows": found}


if __name__ == "__main__":
    command, *places = sys.argv[1:]
    made = make(pathlib.Path(places[0])) if command == "make" else query(*places)
    json.dump(made, sys.stdout, default=str)
