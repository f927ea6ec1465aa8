#!/usr/bin/env python3
"""Count the phrases that CONTRIBUTING.md forbids, and lines over 110 columns, in tracked text files.

Prints FILE:LINE: PHRASE -> SUGGESTION per finding, then a count per rule and the ten worst files.
"""

import argparse
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
GUIDE = ROOT / "CONTRIBUTING.md"
TABLE = re.compile(r"<!-- words -->.*?<!-- /words -->", re.DOTALL)
COLUMNS = 110
SUFFIXES = (".rs", ".md", ".toml", ".py")


def rules():
    """Yield pattern, phrase and suggestion of every entry of the table in CONTRIBUTING.md, the only list."""
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", TABLE.search(GUIDE.read_text())[0], re.MULTILINE)
    for phrases, advice in rows:
        for phrase in re.findall(r"`([^`]+)`", phrases):
            # "there is no" and "is no longer" are plain English. `--alike` is an option, defined as
            # `long = "alike"`.
            before = r'(?<![\w-])(?<!there )(?<!long = ")'
            yield re.compile(rf"{before}{re.escape(phrase)}(?!\w| longer)", re.I), phrase, advice


def tracked(paths):
    """Return the tracked text files among files and folders; no paths: all."""
    command = ["git", "ls-files", "--", *(paths or ["."])]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if name.endswith(SUFFIXES) and (ROOT / name).exists()]


def findings(name, patterns):
    """Yield line number, phrase and suggestion of every finding in a file."""
    text = (ROOT / name).read_text()
    if ROOT / name == GUIDE:  # the list itself is not a finding; the line numbers stay
        text = TABLE.sub(lambda table: "\n" * table[0].count("\n"), text)
    if name.endswith(".py"):  # an operator of Python, not a phrase
        text = text.replace(" is None", " == None")
    for number, line in enumerate(text.split("\n"), 1):
        for pattern, phrase, advice in patterns:
            yield from ((number, phrase, advice) for _ in pattern.finditer(line))
        if len(line) > COLUMNS and not (name.endswith(".md") and line.startswith("|")):
            yield number, f"over {COLUMNS} columns", f"{len(line)} columns"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--summary", action="store_true", help="only the counts")
    parser.add_argument(
        "--max", type=int, default=sys.maxsize, metavar="N", help="exit with 1 above N findings"
    )
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders below the repository's root; default: all"
    )
    args = parser.parse_args()
    patterns, by_rule, by_file = list(rules()), collections.Counter(), collections.Counter()
    for name in tracked(args.paths):
        for number, phrase, advice in findings(name, patterns):
            by_rule[phrase] += 1
            by_file[name] += 1
            if not args.summary:
                print(f"{name}:{number}: {phrase} -> {advice}")
    for title, counts in ("by rule", by_rule.most_common()), ("ten worst files", by_file.most_common(10)):
        print(f"== {title}", *(f"{count:6} {what}" for what, count in counts), sep="\n")
    print(f"== {by_rule.total()} findings")
    sys.exit(by_rule.total() > args.max)


main()
