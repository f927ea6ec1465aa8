#!/usr/bin/env python3
"""Build the book of docs/ with mdBook (scripts/mdbook.sh), and copy the files that its pages link.

usage: book.py [FOLDER]      FOLDER, by default out/book, is replaced

The pages are in FOLDER/docs, and linked files of the repository beside them at their paths, so relative links
lead to the same files in a checkout and in the book. mdBook turns links to Markdown into links to HTML; a
Markdown file that is not a page of the book becomes HTML with its text unchanged.
"""

import html
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MDBOOK = ROOT / ".mdbook/bin/mdbook"
LINK = re.compile(r'href="((?:\.\./)+)([^"#:]+)')


def copy(name, folder):
    """Copy a file or folder of the repository, and return whether it is there."""
    target = folder / name
    source = ROOT / name
    markdown = source.with_suffix(".md")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".html" and markdown.is_file():
        text = html.escape(markdown.read_text())
        target.write_text(f'<!DOCTYPE html><meta charset="utf-8"><pre>{text}</pre>\n')
    elif source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.is_file():
        shutil.copy(source, target)
    return target.exists()


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "out/book").resolve()
    if not MDBOOK.exists():
        sys.exit(f"{MDBOOK} is missing: run scripts/mdbook.sh")
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "docs"
    subprocess.run([MDBOOK, "build", ROOT / "docs", "--dest-dir", pages], check=True)
    (folder / "index.html").write_text('<!DOCTYPE html><meta http-equiv="refresh" content="0; url=docs/">\n')
    missing = []
    for page in sorted(pages.rglob("*.html")):
        for up, name in LINK.findall(page.read_text()):
            linked = (page.parent / up / name).resolve()
            if folder in linked.parents and not linked.exists():
                name = linked.relative_to(folder)
                if not copy(name, folder):
                    missing.append(f"{page.relative_to(folder)}: {name}")
    if missing:
        sys.exit("links to files that are not in the repository:\n" + "\n".join(missing))
    print(f"book: {pages / 'index.html'}")


main()
