#!/usr/bin/env python3
"""Write golden/transformers_names.json: the tensors of transformers' three BLIP classes, by name and shape.

usage: python3 scripts/peers.py && .peers/bin/python pipeline/train/tests/make_transformers_names.py

The sizes are those of support/mod.rs. A tensor that is tied to another one (the head's weight, its second
bias) may be missing from a file, because transformers 5 ties it then; the script lists these tensors
separately.
"""

import json
import pathlib

import transformers
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForImageTextRetrieval,
    BlipForQuestionAnswering,
)

text = dict(
    vocab_size=24,
    hidden_size=8,
    encoder_hidden_size=8,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=12,
    is_decoder=True,
)
vision = dict(
    hidden_size=8,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    image_size=16,
    patch_size=8,
)
config = BlipConfig(text_config=text, vision_config=vision, image_text_hidden_size=4, projection_dim=4)
out = {"transformers": transformers.__version__, "classes": {}}
for kind in (BlipForImageTextRetrieval, BlipForConditionalGeneration, BlipForQuestionAnswering):
    model = kind(config)
    tied = sorted(model.all_tied_weights_keys)
    shapes = {k: "x".join(map(str, v.shape)) for k, v in sorted(model.state_dict().items()) if k not in tied}
    out["classes"][kind.__name__] = {"tensors": shapes, "tied": tied}
path = pathlib.Path(__file__).parent / "golden/transformers_names.json"
path.write_text(json.dumps(out, indent=1) + "\n")
print(path, {k: len(v["tensors"]) for k, v in out["classes"].items()})
