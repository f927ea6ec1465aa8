#!/usr/bin/env python3
"""Print the numbers of a job's report as DuckDB counts them over the same ledgers.

usage: report.py JOB STATISTICS CONDITIONS [TRUTH]

STATISTICS is the file of `capfilt report --json`; only its positions and the names of its sources are used.
CONDITIONS is a file with a JSON list of conditions, of which the judged texts are counted. TRUTH is the table
of `capfilt demo --truth-table`.

Prints one JSON object with the fields of the statistics.
"""

import json
import pathlib
import sys

import duckdb

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
from tables import committed

LEAST_WORDS = [0, 1, 2, 3, 5, 9, 17, 33, 65, 129]
BARS = 50


def connect(job):
    """Return a connection with the tables `ledger` and `judged`, which has a row per judged text."""
    db = duckdb.connect()
    paths = [str(path) for path in committed(job)["ledger"]]
    db.execute("create table ledger as select * from read_parquet(?, filename = true)", [paths])
    db.execute(
        "create table text as select file, filename, status as row_status, unnest(texts, recursive := true) "
        "from (select file, filename, status, texts from ledger where status = 'judged')"
    )
    db.execute("create table judged as select * from text where itm is not null")
    return db


def rows(db, query, values=()):
    return db.execute(query, list(values)).fetchall()


def one(db, query, values=()):
    return rows(db, query, values)[0][0]


def reached(db, table, column, positions, where="true", values=()):
    """Count the scores that reach each position; scores are compared as doubles."""
    counted = rows(
        db,
        f"select p, count(*) filter (where {column}::double >= p) from (select unnest(?::double[]) as p), "
        f"{table} where {where} group by p order by p",
        [positions, *values],
    )
    return [n for _, n in counted]


def groups(counted):
    return {"judged": counted[0], "kept": counted[1]}


def source_of(db, name, positions):
    """Count the texts of a source."""
    kept = "count(*), count(*) filter (where kept)"
    of = "from judged where source = ?"
    statuses = rows(db, "select status, count(*) from text where source = ? group by status", [name])
    languages = rows(db, f"select coalesce(language, 'unknown'), {kept} {of} group by 1", [name])
    edges = [bar * 2 / 100 for bar in range(BARS)] + [2.0]
    at_least = reached(db, "judged", "itm", edges, "source = ?", [name])
    words = "length(regexp_extract_all(text, '\\S+'))"
    ends = [*LEAST_WORDS[1:], 1 << 30]
    lengths = [
        rows(db, f"select {kept} {of} and {words} >= ? and {words} < ?", [name, least, end])[0]
        for least, end in zip(LEAST_WORDS, ends, strict=True)
    ]
    kept_at = reached(db, "judged", "itm", positions, "source = ?", [name])
    known = {"truth": truth_of(db, name, positions)} if has_truth(db) else {}
    return known | {
        "source": name,
        "statuses": dict(statuses),
        "judged": one(db, f"select count(*) {of}", [name]),
        "kept": one(db, f"select count(*) {of} and kept", [name]),
        "at_least": kept_at,
        "kept_at": kept_at,
        "bars": [low - high for low, high in zip(at_least, at_least[1:], strict=False)],
        "languages": {language: groups(counted) for language, *counted in languages},
        "lengths": [groups(counted) for counted in lengths],
    }


def has_truth(db):
    return bool(rows(db, "from information_schema.tables where table_name = 'truth'"))


def truth_of(db, name, positions):
    """Count the verdicts on the texts of a source, by their truth."""
    of = "truth where source = ?"
    return {
        "known": one(db, f"select count(*) from {of}", [name]),
        "are_true": one(db, f"select count(*) from {of} and is_true", [name]),
        "kept": one(db, f"select count(*) from {of} and kept", [name]),
        "kept_true": one(db, f"select count(*) from {of} and kept and is_true", [name]),
        "kept_at": reached(db, "truth", "itm", positions, "source = ?", [name]),
        "kept_true_at": reached(db, "truth", "itm", positions, "source = ? and is_true", [name]),
    }


def join_truth(db, table):
    """Add the table `truth`: a row per judged text whose truth is known."""
    db.execute(
        "create table truth as with texts as (select key, unnest(texts, recursive := true), "
        "generate_subscripts(texts, 1) as place from ledger where status = 'judged'), "
        "placed as (select *, row_number() over (partition by key, source order by place) as nth from texts) "
        "select source, itm, kept, case source when 'caption' then t.caption else t.synthetic[nth] end "
        "as is_true from placed join read_parquet(?) t using (key) where itm is not null",
        [table],
    )
    db.execute("delete from truth where is_true is null")


def repeated(db, column):
    """Count rows per value of a column."""
    return dict(
        zip(
            ["rows", "distinct", "repeated", "most_rows"],
            rows(
                db,
                "select sum(n)::bigint, count(*), count(*) filter (where n > 1), max(n) from "
                f"(select count(*) as n from ledger where {column} is not null group by {column})",
            )[0],
            strict=True,
        ),
        is_estimate=False,
    )


def parts(db, by, positions):
    """Count images per file or shard, lowest kept share first."""
    counted = rows(
        db,
        f"select file, {by}, count(*), count(*) filter (where status = 'judged'), count(*) filter (where "
        "list_bool_or(list_transform(texts, lambda text: text.kept))) from ledger group by all",
    )
    found = []
    for file, name, total, judged, kept in counted:
        scores = rows(
            db,
            "select itm::double from judged where source <> 'synthetic' and file = ? and "
            f"{by} is not distinct from ? order by 1",
            [file, name],
        )
        middle = scores[(len(scores) - 1) // 2][0]
        found.append(
            {
                "file": file,
                "shard": name,
                "rows": total,
                "images": {"judged": judged, "kept": kept},
                "kept_share": kept / judged,
                "median_itm": max(position for position in positions if position <= middle),
            }
        )
    found.sort(key=lambda part: (part["kept_share"], -part["images"]["judged"], part["file"], part["shard"]))
    return found[:20]


def main():
    job = pathlib.Path(sys.argv[1])
    statistics, conditions = (json.loads(pathlib.Path(name).read_text()) for name in sys.argv[2:4])
    db, positions = connect(job), statistics["positions"]
    if len(sys.argv) > 4:
        join_truth(db, sys.argv[4])
    kept = "list_bool_or(list_transform(texts, lambda text: text.kept))"
    texts = "select text from judged group by text having count(*) > 1"
    print(
        json.dumps(
            {
                "rows": one(db, "select count(*) from ledger"),
                "conditions": [one(db, f"select count(*) from judged where {where}") for where in conditions],
                "by_status": dict(rows(db, "select status, count(*) from ledger group by status")),
                "pairs": one(db, f"select count(*) from ledger where {kept}"),
                "control": {
                    "judged": one(db, "select count(control_itm) from ledger"),
                    "at_least": reached(db, "ledger", "control_itm", positions),
                },
                "sources": [source_of(db, one["source"], positions) for one in statistics["sources"]],
                "equal_images": repeated(db, "image_sha256"),
                "equal_hashes": repeated(db, "image_hash"),
                "repeated_texts": [
                    n
                    for (n,) in rows(
                        db,
                        f"select count(*) as n from judged where text in ({texts}) group by text "
                        "order by n desc limit 12",
                    )
                ],
                "files": parts(db, "null", positions),
                "shards": parts(db, "regexp_extract(filename, 'attempts/([0-9a-f]+)/', 1)", positions),
            }
        )
    )


if __name__ == "__main__":
    main()
