"""Validate manifests strictly against Kubernetes' published schemas: an unknown key is an error.

usage: kubernetes.py VERSION FILE...     prints one JSON object per manifest
"""

import json
import sys

import kubernetes_validate
import yaml


def main():
    version, *files = sys.argv[1:]
    for file in files:
        for manifest in yaml.safe_load_all(open(file)):
            try:
                against = kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                sys.exit(f"{file}: {'.'.join(map(str, error.path))}: {error.message}")
            print(json.dumps({"against": against, "manifest": manifest}))


main()
