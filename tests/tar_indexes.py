"""Writes the index of a tar as another program does: tar_indexes.py energon|dali TAR INDEX.

energon: the offset of each sample and of the end, 64 bits each.
dali: the text that NVIDIA DALI's wds2idx writes, version 1.2.
"""

import struct
import sys
import tarfile


def samples(tar):
    """Members of each sample: neighbours with the same name up to the first dot."""
    found, last = [], None
    for member in tar:
        key = member.name.split(".")[0]
        if key != last:
            found.append([])
        found[-1].append(member)
        last = key
    return found


def energon(tar):
    offsets = [members[0].offset for members in samples(tar)] + [tar.offset]
    return b"".join(struct.pack("<Q", offset) for offset in offsets)


def dali(tar):
    def line(members):
        words = []
        for member in members:
            suffix = member.name.split(".", 1)[1]
            words += [suffix, str(member.offset_data), str(member.size), member.name]
        return " ".join(words)

    lines = [line(members) for members in samples(tar)]
    return ("\n".join([f"v1.2 {len(lines)}", *lines]) + "\n").encode()


program, path, to = sys.argv[1:]
with tarfile.open(path) as tar:
    index = {"energon": energon, "dali": dali}[program](tar)
with open(to, "wb") as file:
    file.write(index)
