#!/usr/bin/env python3
"""Write pipeline/blip/tests/golden/*/frames.safetensors: results for the pictures of a case as one clip.

usage: make_golden_frames.py        (in the venv of scripts/peers.py)

The models and pictures are those of make_golden.py. The steps are those of BLIP's evaluation of video
retrieval, one by one: the image encoder sees each frame alone; ITC projects the first token of each frame,
averages the projections of a clip and normalises the mean; ITM attends to the tokens of all frames,
concatenated. `max` and `mean` are P(match) of the frames, each matched alone.
"""

import json
import pathlib

import blip_reference as blip
import torch
from safetensors.torch import load_file, save_file

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "pipeline/blip/tests/golden"


@torch.inference_mode()
def results(case):
    model, tokenizer = (load(GOLDEN / case / "filter") for load in (blip.load_filter, blip.load_tokenizer))
    texts = [text["text"] for text in json.loads((GOLDEN / case / "expected.json").read_text())["texts"]]
    pixels = load_file(GOLDEN / case / "expected.safetensors")["pixels_u8"]
    mean, std = torch.tensor(blip.MEAN), torch.tensor(blip.STD)
    pixels = ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2)
    batch = blip.encode(tokenizer, texts)
    ids, mask = blip.with_enc(batch.input_ids, model), batch.attention_mask

    with blip.vision_eps(model, blip.ORIGINAL_VISION_EPS):
        frames = torch.cat([blip.encode_image(model, frame[None]) for frame in pixels])

    projected = model.vision_proj(frames[:, 0]).mean(0, keepdim=True)
    clip = projected / projected.norm(dim=-1, keepdim=True)
    states = model.text_encoder(input_ids=batch.input_ids, attention_mask=mask).last_hidden_state
    text = torch.nn.functional.normalize(model.text_proj(states[:, 0]), dim=-1)

    def logits(image_states):
        return blip.match_logits(model, image_states.expand(len(texts), -1, -1), ids, mask)

    tokens = logits(frames.reshape(1, -1, frames.shape[-1]))
    alone = torch.stack([logits(frame[None]).softmax(-1)[:, 1] for frame in frames])
    return {
        "cosine": text @ clip[0],
        "tokens.logits": tokens,
        "tokens": tokens.softmax(-1)[:, 1].contiguous(),
        "max": alone.max(0).values,
        "mean": alone.mean(0),
    }


def main():
    for case in ["patch16", "patch8"]:
        found = results(case)
        assert (found["max"] - found["mean"]).max() > 1e-3, "the frames must differ"
        save_file(found, GOLDEN / case / "frames.safetensors")
        print(case, {name: tuple(value.shape) for name, value in found.items()})


main()
