"""Make checkpoints that would take gigabytes or minutes.

usage: checkpoints.py KIND SOURCE TARGET

TARGET is a copy of the model's folder SOURCE with one file changed by KIND.
"""

import json
import pathlib
import shutil
import struct
import sys
import zipfile

kind, source, target = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
shutil.copytree(source, target)


def number(n):
    return b"\x8a\x08" + struct.pack("<q", n)


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s.encode()


def archive(pickle, storage=b"", method=zipfile.ZIP_STORED):
    (target / "model.safetensors").unlink()
    with zipfile.ZipFile(target / "pytorch_model.bin", "w", method) as file:
        file.writestr("archive/data.pkl", pickle)
        file.writestr("archive/data/0", storage)


def tensor(size, stride):
    pair = b"".join(b"(" + b"".join(map(number, numbers)) + b"t" for numbers in (size, stride))
    return (
        b"\x80\x02}("
        + text("vision_model.embeddings.class_embedding")
        + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + text("storage")
        + b"ctorch\nFloatStorage\n"
        + text("0")
        + text("cpu")
        + number(1)
        + b"tQ"
        + number(0)
        + pair
        + b"\x89ccollections\nOrderedDict\n)RtRu."
    )


def tokenizer(change):
    path = target / "tokenizer.json"
    file = json.loads(path.read_text())
    change(file)
    path.write_text(json.dumps(file))


def config(change):
    path = target / "config.json"
    file = json.loads(path.read_text())
    change(file)
    path.write_text(json.dumps(file))


def replaced(n, content):
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": content}
    return lambda file: file.update(normalizer={"type": "Sequence", "normalizers": [step] * n})


def widest(file):
    for tower in ("vision_config", "text_config"):
        file[tower].update(hidden_size=1 << 24, intermediate_size=1 << 24, num_attention_heads=1)
    file["text_config"]["encoder_hidden_size"] = 1 << 24


match kind:
    case "stride 0":
        archive(tensor([5_000_000_000], [0]), bytes(4))
    case "deflated storage":
        archive(tensor([16 << 20], [1]), bytes(64 << 20), zipfile.ZIP_DEFLATED)
    case "deflated pickle":
        archive(b"\x80\x02" + b"N0" * (32 << 20), method=zipfile.ZIP_DEFLATED)
    case "memo":
        archive(b"\x80\x02" + text("a" * 1_000_000) + b"q\x000" + b"h\x00" * 3_000_000 + b".")
    case "doubling":
        archive(b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 1_000_000 + b".")
    case "normalizer":
        tokenizer(replaced(4, "a" * 1000))
    case "sizes":
        config(widest)
    case "a device for a config":
        (target / "config.json").unlink()
        (target / "config.json").symlink_to("/dev/zero")
    case _:
        sys.exit(__doc__)
