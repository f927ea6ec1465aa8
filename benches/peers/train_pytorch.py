#!/usr/bin/env python3
"""BLIP's pre-training step in current PyTorch eager: the peer of `capfilt train pretrain`.

usage: train_pytorch.py --pairs FILE.parquet --vocabulary DIR --sizes JSON --words N --batch N --queue N
       --steps N --warm-up N --threads N [--dtype f32|bf16]

The script uses modules, fused attention, fused AdamW, and foreach for the momentum encoders. Pictures are
decoded and resized before the clock starts; capfilt decodes during the run. Prints one JSON line: images per
second of each step after the warm-up, and the losses of the last step.
"""

import argparse
import copy
import io
import json
import time

import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from transformers import BertTokenizerFast

MEAN, STD = (
    torch.tensor([0.48145466, 0.4578275, 0.40821073]),
    torch.tensor([0.26862954, 0.26130258, 0.27577711]),
)


class Attention(nn.Module):
    def __init__(self, width, heads, other=None):
        super().__init__()
        self.heads, self.q, self.out = heads, nn.Linear(width, width), nn.Linear(width, width)
        self.kv = nn.Linear(other or width, 2 * width)

    def forward(self, xs, keys, mask=None, causal=False):
        def split(ys):
            return ys.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        k, v = self.kv(keys).chunk(2, -1)
        return self.out(
            F.scaled_dot_product_attention(
                split(self.q(xs)), split(k), split(v), attn_mask=mask, is_causal=causal
            )
            .transpose(1, 2)
            .flatten(2)
        )


class VisionBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.attention, self.mlp = (
            Attention(width, heads),
            nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)),
        )

    def forward(self, xs):
        normed = self.norm1(xs)
        xs = xs + self.attention(normed, normed)
        return xs + self.mlp(self.norm2(xs))


class Vision(nn.Module):
    def __init__(self, s):
        super().__init__()
        width, side, patch = s["vision_width"], s["image_size"], s["patch_size"]
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.first, self.positions = (
            nn.Parameter(torch.randn(1, 1, width) * 0.02),
            nn.Parameter(torch.randn(1, 1 + (side // patch) ** 2, width) * 0.02),
        )
        self.blocks = nn.ModuleList(VisionBlock(width, s["vision_heads"]) for _ in range(s["vision_layers"]))
        self.norm = nn.LayerNorm(width, 1e-6)

    def forward(self, pixels):
        xs = self.patches(pixels).flatten(2).transpose(1, 2)
        xs = torch.cat([self.first.expand(len(xs), -1, -1), xs], 1) + self.positions
        for block in self.blocks:
            xs = block(xs)
        return self.norm(xs)


class TextBlock(nn.Module):
    """Self-attention of encoder and decoder, and their shared parts."""

    def __init__(self, width, heads, vision):
        super().__init__()
        self.own = nn.ModuleDict({name: Attention(width, heads) for name in ("encoder", "decoder")})
        self.own_norm = nn.ModuleDict({name: nn.LayerNorm(width, 1e-12) for name in ("encoder", "decoder")})
        self.cross, self.cross_norm = Attention(width, heads, vision), nn.LayerNorm(width, 1e-12)
        self.mlp, self.norm = (
            nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)),
            nn.LayerNorm(width, 1e-12),
        )

    def forward(self, xs, who, mask, image):
        xs = self.own_norm[who](xs + self.own[who](xs, xs, mask))
        if image is not None:
            xs = self.cross_norm(xs + self.cross(xs, image))
        return self.norm(xs + self.mlp(xs))


class Towers(nn.Module):
    """Modules that the momentum encoders copy."""

    def __init__(self, s, words):
        super().__init__()
        width = s["text_width"]
        self.vision = Vision(s)
        self.words, self.positions, self.norm = (
            nn.Embedding(words, width),
            nn.Embedding(s["positions"], width),
            nn.LayerNorm(width, 1e-12),
        )
        self.blocks = nn.ModuleList(
            TextBlock(width, s["text_heads"], s["vision_width"]) for _ in range(s["text_layers"])
        )
        self.vision_proj, self.text_proj = (
            nn.Linear(s["vision_width"], s["projection"]),
            nn.Linear(width, s["projection"]),
        )

    def text(self, ids, who, mask, image=None):
        xs = self.norm(self.words(ids) + self.positions.weight[: ids.shape[1]])
        for block in self.blocks:
            xs = block(xs, who, mask, image)
        return xs

    def features(self, image, ids, mask):
        def unit(xs):
            return F.normalize(xs.float(), dim=-1)

        return unit(self.vision_proj(image[:, 0])), unit(
            self.text_proj(self.text(ids, "encoder", mask)[:, 0])
        )


class Med(nn.Module):
    def __init__(self, s, words, queue):
        super().__init__()
        width = s["text_width"]
        self.towers = Towers(s, words)
        self.match, self.temperature = nn.Linear(width, 2), nn.Parameter(torch.tensor(0.07))
        self.head, self.bias = (
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width, 1e-12)),
            nn.Parameter(torch.zeros(words)),
        )
        self.slow = [
            copy.deepcopy(self.towers).requires_grad_(False)
        ]  # in a list, so that PyTorch does not register it as a submodule
        self.queues, self.at = [F.normalize(torch.randn(s["projection"], queue), dim=0) for _ in range(2)], 0
        self.dec, self.enc = words - 2, words - 1

    def forward(self, pixels, ids, mask, alpha):
        batch, slow, towers = len(ids), self.slow[0], self.towers
        visible = mask.bool()[:, None, None, :]
        with torch.no_grad():
            torch._foreach_lerp_(list(slow.parameters()), list(towers.parameters()), 0.005)
            self.temperature.clamp_(0.001, 0.5)
        image = towers.vision(pixels)
        v, t = towers.features(image, ids, visible)
        with torch.no_grad():
            v_m, t_m = slow.features(slow.vision(pixels), ids, visible)
            all_v, all_t = torch.cat([v_m.T, self.queues[0]], 1), torch.cat([t_m.T, self.queues[1]], 1)
            own = F.pad(torch.eye(batch), (0, self.queues[0].shape[1]))
            y_v = alpha * F.softmax(v_m @ all_t / self.temperature, 1) + (1 - alpha) * own
            y_t = alpha * F.softmax(t_m @ all_v / self.temperature, 1) + (1 - alpha) * own

        def loss(a, b, y):
            return -(F.log_softmax(a @ b / self.temperature, 1) * y).sum(1).mean()

        itc = (loss(v, all_t, y_v) + loss(t, all_v, y_t)) / 2
        with torch.no_grad():
            for queue, new in zip(self.queues, (v_m, t_m)):
                queue[:, self.at : self.at + batch] = new.T
            self.at = (self.at + batch) % self.queues[0].shape[1]
            similarity = v @ t.T / self.temperature

            def others(scores):
                return torch.multinomial((F.softmax(scores, 1) + 1e-4).fill_diagonal_(0), 1)[:, 0]

            negative_text, negative_image = others(similarity), others(similarity.T)
        enc = ids.clone()
        enc[:, 0] = self.enc
        of_three = torch.cat([visible, visible, visible[negative_text]])
        states = towers.text(
            torch.cat([enc, enc, enc[negative_text]]),
            "encoder",
            of_three,
            torch.cat([image, image[negative_image], image]),
        )
        labels = torch.cat([torch.ones(batch), torch.zeros(2 * batch)]).long()
        itm = F.cross_entropy(self.match(states[:, 0]).float(), labels)
        dec = ids.clone()
        dec[:, 0] = self.dec
        causal = torch.ones(ids.shape[1], ids.shape[1]).tril().bool()[None, None] & visible
        hidden = self.head(towers.text(dec, "decoder", causal, image))
        logits = F.linear(hidden, towers.words.weight, self.bias).float()
        labels = dec.masked_fill(mask == 0, -100)
        lm = F.cross_entropy(
            logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, label_smoothing=0.1
        )
        return itc, itm, lm


def pairs(args, side):
    tokenizer = BertTokenizerFast.from_pretrained(args.vocabulary)
    rows = (
        pq.ParquetFile(args.pairs).read_row_group(0, columns=["jpg", "caption"]).to_pylist()[: 4 * args.batch]
    )

    def squash(jpg):
        return torch.frombuffer(
            bytearray(
                Image.open(io.BytesIO(jpg))
                .convert("RGB")
                .resize((side, side), Image.Resampling.BICUBIC)
                .tobytes()
            ),
            dtype=torch.uint8,
        )

    return (
        torch.stack([squash(row["jpg"]) for row in rows]).view(-1, side, side, 3),
        [row["caption"] for row in rows],
        tokenizer,
    )


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--pairs", required=True)
    p.add_argument("--vocabulary", required=True)
    p.add_argument("--sizes", type=json.loads, required=True)
    for name in ("batch", "queue", "steps", "warm-up", "threads", "words"):
        p.add_argument(f"--{name}", type=int, required=True)
    p.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    args = p.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    images, texts, tokenizer = pairs(args, args.sizes["image_size"])
    model = Med(args.sizes, args.words, args.queue)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.05, fused=True)
    speeds, last = [], None
    for step in range(args.warm_up + args.steps):
        started = time.perf_counter()
        rows = torch.arange(step * args.batch, (step + 1) * args.batch) % len(texts)
        pixels = ((images[rows].float() / 255 - MEAN) / STD).permute(0, 3, 1, 2)
        tokens = tokenizer(
            [texts[i] for i in rows.tolist()],
            padding="longest",
            truncation=True,
            max_length=30,
            return_tensors="pt",
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=args.dtype == "bf16"):
            losses = model(pixels, tokens.input_ids, tokens.attention_mask, 0.4 * min(1.0, step / 1000))
        optimizer.zero_grad()
        sum(losses).backward()
        optimizer.step()
        last = [loss.item() for loss in losses]
        if step >= args.warm_up:
            speeds.append(args.batch / (time.perf_counter() - started))
    print(
        json.dumps(
            {
                "images_per_second": speeds,
                "losses": last,
                "parameters": sum(p.numel() for p in model.parameters()),
            }
        )
    )


main()
