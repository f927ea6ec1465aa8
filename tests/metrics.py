"""Read a Prometheus page repeatedly until its server ends, or once with --once; print the pages as JSON.

usage: metrics.py URL [--once]

prometheus_client parses every page. The output is a list of pages, each {"types": {family: type}, "help":
{family: text}, "samples": {"name{label=value,...}": value}}.
"""

import json
import sys
import time
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families


def key(sample):
    labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}" if labels else sample.name


def read(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), answer.headers[
            "Content-Type"
        ]
        text = answer.read().decode()
    families = list(text_string_to_metric_families(text))
    samples = [(key(sample), sample.value) for family in families for sample in family.samples]
    assert len(dict(samples)) == len(samples), "the page has a sample twice"
    return {
        "types": {f.name: f.type for f in families},
        "help": {f.name: f.documentation for f in families},
        "samples": dict(samples),
    }


pages = []
while True:
    try:
        pages.append(read(sys.argv[1]))
    except (urllib.error.URLError, ConnectionError):
        if not pages or "--once" in sys.argv:
            raise
        break  # the process has ended
    if "--once" in sys.argv:
        break
    time.sleep(0.1)
print(json.dumps(pages))
