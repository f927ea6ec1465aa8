"""Read the pairs of a job in tars with webdataset, for tests/tar_pairs.rs.

usage: tar_pairs.py samples TAR...    every sample as JSON: name, members, digest of the image, text, record
       tar_pairs.py tuples TAR...     sizes of the decoded images with their texts, as a trainer reads them
"""

import hashlib
import json
import sys

import webdataset


def samples(*tars):
    found = []
    for sample in webdataset.WebDataset(list(tars), shardshuffle=False):
        members = [name for name in sample if not name.startswith("__")]
        found.append(
            {
                "name": sample["__key__"],
                "members": members,
                "image": hashlib.sha256(sample["jpg"]).hexdigest(),
                "text": sample["txt"].decode(),
                "record": json.loads(sample["json"]),
            }
        )
    return found


def tuples(*tars):
    dataset = webdataset.WebDataset(list(tars), shardshuffle=False).decode("pil")
    return [[*image.size, text] for image, text in dataset.to_tuple("jpg", "txt")]


if __name__ == "__main__":
    print(json.dumps({"samples": samples, "tuples": tuples}[sys.argv[1]](*sys.argv[2:])))
