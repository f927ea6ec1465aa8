#!/usr/bin/env python3
"""BLIP's training step of NLVR2 in plain PyTorch and float64: the reference of tests/nlvr.rs. Needs torch.

usage: reference_nlvr.py FOLDER

Writes nlvr.safetensors; the seed is fixed, so every run writes the same values. The model is that of
pipeline/blip/tests/reference_nlvr.py; the image encoder is narrower than the text encoder, and one of two
text layers merges.

The file has `weights.*` before the first step, `grad.*` of the first step, `after.*` after the last step; per
step s `s.pixels` (all first images, then all second ones), `s.ids`, `s.mask` and `s.labels` (1: true); and
`steps`: rows of (loss, learning rate).
Source: BLIP (Li et al. 2022), section 5.4, and the published code's models/blip_nlvr.py as it is described:
the images of a batch are encoded together and split, and the loss is the cross-entropy of the classifier.
"""

import importlib.util
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
MODEL = pathlib.Path(__file__).parents[2] / "blip/tests/reference_nlvr.py"
SIZES = dict(vision=8, text=12, vision_heads=2, text_heads=2, vision_layers=2, text_layers=2)
SIZES |= dict(side=16, patch=8, words=24, positions=12, ffn=4)
CLS, SEP, DEC, BATCH = 2, 3, SIZES["words"] - 2, 3
EPOCH, DECAY, RATE = 3, 0.05, 1e-2


def reference():
    """The module of the model."""
    spec = importlib.util.spec_from_file_location("reference_nlvr_model", MODEL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sample():
    lengths = torch.randint(4, 9, (BATCH,))
    ids = torch.randint(5, DEC, (BATCH, int(lengths.max())))
    mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
    ids = ids * mask
    ids[:, 0] = CLS
    ids[torch.arange(BATCH), lengths - 1] = SEP
    pixels = torch.randn(2 * BATCH, 3, SIZES["side"], SIZES["side"])
    return {"pixels": pixels, "ids": ids, "mask": mask, "labels": torch.randint(0, 2, (BATCH,))}


def run(steps, seed):
    torch.manual_seed(seed)
    model = reference()
    shapes = model.shapes(SIZES)
    weights = {name: (torch.randn(shape) * 0.3).requires_grad_() for name, shape in shapes.items()}
    out = {"weights." + name: w.detach().clone() for name, w in weights.items()}
    optimizer = torch.optim.AdamW(weights.values(), lr=RATE, weight_decay=DECAY)
    table = []
    for i in range(steps):
        s = sample()
        out |= {f"{i}.{name}": value.clone() for name, value in s.items()}
        computed = model.Model(weights, SIZES)
        first, second = computed.vision(s["pixels"]).chunk(2)
        loss = F.cross_entropy(computed.logits(s["ids"], s["mask"], first, second), s["labels"])
        optimizer.zero_grad()
        loss.backward()
        if i == 0:
            out |= {"grad." + name: w.grad.clone() for name, w in weights.items()}
        rate = RATE * 0.5 * (1 + math.cos(math.pi * (i // EPOCH) / 2))
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        table.append([loss.item(), rate])
    out |= {"after." + name: w.detach().clone() for name, w in weights.items()}
    out["steps"] = torch.tensor(table)
    return {name: value.contiguous() for name, value in out.items()}


save_file(run(6, 3), f"{sys.argv[1]}/nlvr.safetensors")
