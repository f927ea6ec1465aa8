#!/usr/bin/env python3
"""Read a data repository of a Hub with the Hub's own client.

usage: hub.py ENDPOINT TOKEN REPOSITORY    prints {path: {size, sha256, etag, listed}} as JSON
"""

import hashlib
import json
import os
import pathlib
import sys
import tempfile

SCRATCH = tempfile.TemporaryDirectory()
ENDPOINT, TOKEN, REPOSITORY = sys.argv[1:]
# Before the client is imported, which reads them.
os.environ.update(HF_HOME=SCRATCH.name, HF_ENDPOINT=ENDPOINT, HF_HUB_DISABLE_XET="1", NO_PROXY="127.0.0.1")

from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url

entries = HfApi(token=TOKEN).list_repo_tree(REPOSITORY, repo_type="dataset", recursive=True)
files = {entry.path: entry for entry in entries if hasattr(entry, "blob_id")}
shown = {}
for path, entry in files.items():
    url = hf_hub_url(REPOSITORY, path, repo_type="dataset")
    local = hf_hub_download(REPOSITORY, path, repo_type="dataset", token=TOKEN)
    content = pathlib.Path(local).read_bytes()
    shown[path] = {
        "size": entry.size,
        "sha256": hashlib.sha256(content).hexdigest(),
        "etag": get_hf_file_metadata(url, token=TOKEN).etag,
        "listed": entry.lfs.sha256 if entry.lfs else entry.blob_id,
    }
print(json.dumps(shown))
