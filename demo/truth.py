#!/usr/bin/env python3
"""How true are a cleaning job's verdicts on the demo's pictures?  Needs pyarrow.

usage: truth.py --job FOLDER --input WEB.parquet [...] [--json]

Reads the ledgers that the job's commits name, joins them to the input by `key`, and asks of every text whether it is
true of its picture: "a SIZE COLOUR SHAPE on a BACKGROUND background", or two such objects related by left of / right of
(axis h) or above / below (axis v). Rates are per cent of judged rows.
"""
import argparse, collections, json, pathlib, re
import pyarrow.parquet as pq


def clean(text):
    return re.sub(r"\s{2,}", " ", re.sub(r"([.!\"()*#:;~])", " ", (text or "").lower())).strip()


def true_texts(scene):
    """Every text that is true of a picture; nothing else counts."""
    objects = [f"a {size} {colour} {shape}" for size, colour, shape in scene["objs"]]
    ground = f" on a {scene['bg']} background"
    if len(objects) == 1:
        return {objects[0] + ground}
    there, back = ("left of", "right of") if scene["ax"] == "h" else ("above", "below")
    first, second = objects
    return {f"{first} {there} {second}{ground}", f"{second} {back} {first}{ground}"}


def committed_ledgers(job):
    """Ledger files of the commits that count: the highest number of each shard."""
    for shard in sorted((job / "commits").iterdir()):
        newest = max(shard.glob("*.json"), key=lambda path: int(path.stem))
        outputs = json.loads(newest.read_text())["outputs"]
        yield from (job / output["path"] for output in outputs if output["table"] == "ledger")


def count(ledgers, truth):
    counts, seen = collections.Counter(), collections.Counter()
    for path in ledgers:
        for row in pq.read_table(path).to_pylist():
            counts["rows"] += 1
            counts["status " + row["status"]] += 1
            seen[row["key"]] += 1
            if row["status"] == "judged":
                count_judged(counts, row, *truth[row["key"]])
    return counts, seen


def count_judged(counts, row, texts, kind):
    web_true, web_kept = clean(row["web_text"]) in texts, bool(row["web_kept"])
    counts.update({"web": 1, "web true": web_true, "web kept": web_kept, "web kept true": web_kept and web_true})
    counts.update({"kind " + kind: 1, "kept " + kind: web_kept})
    for caption in row["synthetic"]:
        is_true, kept = clean(caption["text"]) in texts, bool(caption["kept"])
        counts.update({"synthetic": 1, "synthetic true": is_true, "synthetic kept": kept, "synthetic kept true": kept and is_true})


def report(counts, seen, truth):
    share = lambda part, whole: round(100 * counts[part] / counts[whole], 1) if counts[whole] else None
    return {
        "rows": counts["rows"],
        "input_rows": len(truth),
        "missing_keys": len(set(truth) - set(seen)),
        "doubled_keys": sum(n > 1 for n in seen.values()),
        "statuses": {name[7:]: n for name, n in counts.items() if name.startswith("status ")},
        "web_true_raw": share("web true", "web"),
        "web_kept": share("web kept", "web"),
        "web_kept_true": share("web kept true", "web kept"),
        "web_true_kept": share("web kept true", "web true"),
        "kept_by_kind": {name[5:]: share("kept " + name[5:], name) for name in counts if name.startswith("kind ")},
        "synthetic_true_raw": share("synthetic true", "synthetic"),
        "synthetic_kept": share("synthetic kept", "synthetic"),
        "synthetic_kept_true": share("synthetic kept true", "synthetic kept"),
    }


SENTENCES = [
    ("web texts that are true, as they came", "web_true_raw"),
    ("web texts kept", "web_kept"),
    ("  of these true (precision)", "web_kept_true"),
    ("  of the true ones kept (recall)", "web_true_kept"),
    ("generated captions that are true", "synthetic_true_raw"),
    ("generated captions kept", "synthetic_kept"),
    ("  of these true (precision)", "synthetic_kept_true"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", type=pathlib.Path, required=True)
    parser.add_argument("--input", nargs="+", required=True)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    truth = {}
    for path in args.input:
        rows = pq.read_table(path, columns=["key", "scene", "truth"]).to_pylist()
        truth.update({row["key"]: (true_texts(json.loads(row["scene"])), row["truth"]) for row in rows})
    found = report(*count(committed_ledgers(args.job), truth), truth)
    if args.json:
        print(json.dumps(found))
        return
    print(f"{found['rows']} rows of {found['input_rows']}: {found['missing_keys']} missing, {found['doubled_keys']} doubled")
    for sentence, name in SENTENCES:
        print(f"{sentence:40} {found[name]:5} %")
    kinds = ", ".join(f"{kind} {share} %" for kind, share in sorted(found["kept_by_kind"].items()))
    print(f"{'kept by kind of web text':40} {kinds}")


main()
