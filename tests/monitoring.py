"""Read a run's metrics with a real Prometheus, and evaluate every query of the dashboard and the alerts.

usage: monitoring.py ADDRESS FOLDER     ADDRESS is the IP:PORT of the run's metrics

Prints {"dashboard": {query: series}, "alerts": {query: series}, "unknown": [metric, ...]}.
A number is that of the series of a query. A query that Prometheus refuses ends the script.
"""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

MONITORING = pathlib.Path(__file__).resolve().parent.parent / "configs/deploy/monitoring"
SECONDS = 60


def configured(address, folder):
    """Write the configuration with one target and short intervals, and check it as Prometheus does."""
    text = (MONITORING / "prometheus.yml").read_text()
    assert '["127.0.0.1:9100"]' in text, text
    text = text.replace("127.0.0.1:9100", address).replace("interval: 10s", "interval: 200ms")
    (folder / "prometheus.yml").write_text(text)
    shutil.copy(MONITORING / "alerts.yml", folder)
    subprocess.run(["promtool", "check", "config", folder / "prometheus.yml"], check=True, stdout=sys.stderr)


def queries_of_dashboard():
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def query(server, expression):
    """Return the series of a query."""
    url = f"{server}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{expression}: {error.read().decode()}")


def wait_for(server, expression):
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        try:
            if query(server, expression):
                return
        except (urllib.error.URLError, ConnectionError):
            pass  # Prometheus is starting
        time.sleep(0.1)
    sys.exit(f"no series within {SECONDS} s: {expression}")


def alerts(server):
    with urllib.request.urlopen(f"{server}/api/v1/rules", timeout=10) as answer:
        groups = json.load(answer)["data"]["groups"]
    return [rule["query"] for group in groups for rule in group["rules"]]


def main(address, folder):
    folder = pathlib.Path(folder)
    configured(address, folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    prometheus = subprocess.Popen(command)
    try:
        server = f"http://127.0.0.1:{port}"
        # A rate needs two readings of a counter that grew.
        wait_for(server, "rate(capfilt_committed_shards_total[5m]) > 0")
        dashboard = {text: len(query(server, text)) for text in queries_of_dashboard()}
        rules = {text: len(query(server, text)) for text in alerts(server)}
        names = {name for text in [*dashboard, *rules] for name in re.findall(r"capfilt_\w+", text)}
        unknown = [name for name in sorted(names) if not query(server, name)]
    finally:
        prometheus.terminate()
        prometheus.wait()
    print(json.dumps({"dashboard": dashboard, "alerts": rules, "unknown": unknown}))


main(*sys.argv[1:])
