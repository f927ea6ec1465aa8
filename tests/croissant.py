"""Read an export by its description with mlcroissant, MLCommons' reader; prints one JSON object.

usage: croissant.py EXPORT

`errors`: what the reader refuses; `files`: URLs and digests of the distribution that are those of the files;
`samples`: keys, captions and image sizes that the reader yields, if it can read the format (Parquet).
"""

import hashlib
import json
import pathlib
import sys

import mlcroissant

export = pathlib.Path(sys.argv[1])
dataset = mlcroissant.Dataset(export / "croissant.json")
issues = dataset.metadata.issues
files = [part for part in dataset.metadata.distribution if isinstance(part, mlcroissant.FileObject)]
is_right = [
    hashlib.sha256((export / file.content_url).read_bytes()).hexdigest() == file.sha256 for file in files
]
samples = []
for record_set in dataset.metadata.record_sets:
    for record in dataset.records(record_set.id):
        fields = {name.split("/", 1)[1]: value for name, value in record.items()}
        image = fields.get("image")
        samples.append(
            {
                "key": fields["key"].decode(),
                "caption": fields["caption"].decode() if "caption" in fields else None,
                "size": list(image.size) if image is not None else None,
                "columns": sorted(fields),
            }
        )
print(json.dumps({"errors": sorted(issues.errors), "files": is_right, "samples": samples}))
