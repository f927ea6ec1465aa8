#!/usr/bin/env python3
"""Read the demo's pictures and texts with other tools.

usage: demo_world.py rows FOLDER            rows of its Parquet files by pyarrow, pictures by Pillow
       demo_world.py tokens FOLDER TEXTS    ids of a JSON list's texts by transformers, and the decoded texts

Prints JSON.
"""

import io
import json
import os
import pathlib
import sys

os.environ.update(
    HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error"
)  # before transformers is imported, which reads them


def rows(folder):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    table = pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("*.parquet")))
    found = table.to_pylist()
    for row in found:
        image = Image.open(io.BytesIO(row["jpg"]))
        image.load()
        row["jpg"] = {
            "format": image.format,
            "mode": image.mode,
            "size": image.size,
            "sampling": sorted({layer[1:3] for layer in image.layer}),
        }
    return {"types": {field.name: str(field.type) for field in table.schema}, "rows": found}


def tokens(folder, texts):
    from transformers import AutoTokenizer, BertTokenizer

    texts = json.loads(texts.read_text())
    opened = {
        "auto": AutoTokenizer.from_pretrained(folder),
        "vocabulary": BertTokenizer(
            vocab=str(folder / "vocab.txt"), do_lower_case=True, clean_up_tokenization_spaces=True
        ),
    }

    def answer(tokenizer):
        return {
            "ids": [tokenizer(text)["input_ids"] for text in texts],
            "texts": [
                tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) for text in texts
            ],
            "special": [
                tokenizer.pad_token_id,
                tokenizer.unk_token_id,
                tokenizer.cls_token_id,
                tokenizer.sep_token_id,
                tokenizer.mask_token_id,
            ],
            "size": len(tokenizer),
        }

    return {name: answer(tokenizer) for name, tokenizer in opened.items()}


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    print(json.dumps({"rows": rows, "tokens": tokens}[command](*map(pathlib.Path, paths))))
