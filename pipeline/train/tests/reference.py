#!/usr/bin/env python3
"""BLIP's training step in plain PyTorch and float64: the reference of tests/losses.rs. Needs torch.

usage: reference.py FOLDER

Writes pretrain.safetensors and filter.safetensors; the seed is fixed, so every run writes the same values.

Each file has `weights.*` before the first step, `grad.*` of the first step, `after.*` and `momentum.*` after
the last step; `queue.image`, `queue.text`, `queue.ids` before the first step and `queue_after.*` after the
last one; per step s `s.pixels`, `s.ids`, `s.mask`, `s.image_ids`, `s.negative_image`, `s.negative_text`; and
`steps`: rows of (itc, itm, lm, alpha, learning rate, temperature after, queue pointer after).
Source: BLIP (Li et al. 2022), section 3.2, and the published code's models/blip_pretrain.py and
models/blip_retrieval.py as they are described.
"""

import math
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
D, HEADS, LAYERS, SIDE, PATCH, WORDS, POSITIONS, PROJECTION, QUEUE, BATCH = 8, 2, 2, 16, 8, 24, 12, 4, 12, 4
PAD, ENC, DEC = 0, WORDS - 1, WORDS - 2
EPOCH, MOMENTUM, ALPHA, SMOOTHING, DECAY = 5, 0.995, 0.4, 0.1, 0.05


def names(decoder):
    shapes = {
        "vision_model.embeddings.class_embedding": (1, 1, D),
        "vision_model.embeddings.position_embedding": (1, 1 + (SIDE // PATCH) ** 2, D),
        "vision_model.embeddings.patch_embedding.weight": (D, 3, PATCH, PATCH),
        "vision_model.embeddings.patch_embedding.bias": (D,),
        "vision_model.post_layernorm.weight": (D,),
        "vision_model.post_layernorm.bias": (D,),
        "vision_proj.weight": (PROJECTION, D),
        "vision_proj.bias": (PROJECTION,),
        "text_proj.weight": (PROJECTION, D),
        "text_proj.bias": (PROJECTION,),
        "itm_head.weight": (2, D),
        "itm_head.bias": (2,),
    }

    def linear(name, out, into):
        shapes[name + ".weight"], shapes[name + ".bias"] = (out, into), (out,)

    def norm(name):
        shapes[name + ".weight"], shapes[name + ".bias"] = (D,), (D,)

    for i in range(LAYERS):
        p = f"vision_model.encoder.layers.{i}."
        (
            linear(p + "self_attn.qkv", 3 * D, D),
            linear(p + "self_attn.projection", D, D),
            linear(p + "mlp.fc1", 4 * D, D),
            linear(p + "mlp.fc2", D, 4 * D),
        )
        norm(p + "layer_norm1"), norm(p + "layer_norm2")

    def text(prefix, all_of_it):
        if all_of_it:
            (
                shapes[prefix + "embeddings.word_embeddings.weight"],
                shapes[prefix + "embeddings.position_embeddings.weight"],
            ) = (WORDS, D), (POSITIONS, D)
            norm(prefix + "embeddings.LayerNorm")
        for i in range(LAYERS):
            p = f"{prefix}encoder.layer.{i}."
            for block in ["attention", "crossattention"] if all_of_it else ["attention"]:
                for part in ("query", "key", "value"):
                    linear(f"{p}{block}.self.{part}", D, D)
                linear(f"{p}{block}.output.dense", D, D), norm(f"{p}{block}.output.LayerNorm")
            if all_of_it:
                (
                    linear(p + "intermediate.dense", 4 * D, D),
                    linear(p + "output.dense", D, 4 * D),
                    norm(p + "output.LayerNorm"),
                )

    text("text_encoder.", True)
    if decoder:  # its own are the self-attention blocks and the head; the rest is the encoder's
        text("text_decoder.bert.", False)
        (
            linear("text_decoder.cls.predictions.transform.dense", D, D),
            norm("text_decoder.cls.predictions.transform.LayerNorm"),
        )
        shapes["text_decoder.cls.predictions.bias"] = (WORDS,)
    return shapes


class Model:
    def __init__(self, weights):
        self.w = weights

    def linear(self, name, xs):
        return xs @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, name, xs, eps):
        return F.layer_norm(xs, (D,), self.w[name + ".weight"], self.w[name + ".bias"], eps)

    def attend(self, q, k, v, visible):
        def heads(xs):
            return xs.view(*xs.shape[:2], HEADS, D // HEADS).transpose(1, 2)

        scores = heads(q) @ heads(k).transpose(-1, -2) / math.sqrt(D // HEADS)
        if visible is not None:
            scores = scores.masked_fill(~visible, float("-inf"))
        return (scores.softmax(-1) @ heads(v)).transpose(1, 2).reshape(q.shape)

    def vision(self, pixels):
        p = "vision_model."
        xs = (
            F.conv2d(
                pixels,
                self.w[p + "embeddings.patch_embedding.weight"],
                self.w[p + "embeddings.patch_embedding.bias"],
                stride=PATCH,
            )
            .flatten(2)
            .transpose(1, 2)
        )
        xs = (
            torch.cat([self.w[p + "embeddings.class_embedding"].expand(len(xs), 1, D), xs], 1)
            + self.w[p + "embeddings.position_embedding"]
        )
        for i in range(LAYERS):
            b = f"{p}encoder.layers.{i}."
            q, k, v = self.linear(b + "self_attn.qkv", self.norm(b + "layer_norm1", xs, 1e-6)).chunk(3, -1)
            xs = xs + self.linear(b + "self_attn.projection", self.attend(q, k, v, None))
            xs = xs + self.linear(
                b + "mlp.fc2", F.gelu(self.linear(b + "mlp.fc1", self.norm(b + "layer_norm2", xs, 1e-6)))
            )
        return self.norm(p + "post_layernorm", xs, 1e-6)

    def text(self, ids, visible, image=None, own="text_encoder."):
        """`own`: whose self-attention; everything else is the encoder's."""
        t = "text_encoder."
        xs = (
            F.embedding(ids, self.w[t + "embeddings.word_embeddings.weight"])
            + self.w[t + "embeddings.position_embeddings.weight"][: ids.shape[1]]
        )
        xs = self.norm(t + "embeddings.LayerNorm", xs, 1e-12)
        for i in range(LAYERS):
            xs = self.block(f"{own}encoder.layer.{i}.attention", xs, xs, visible)
            if image is not None:
                xs = self.block(f"{t}encoder.layer.{i}.crossattention", xs, image, None)
            b = f"{t}encoder.layer.{i}."
            xs = self.norm(
                b + "output.LayerNorm",
                xs + self.linear(b + "output.dense", F.gelu(self.linear(b + "intermediate.dense", xs))),
                1e-12,
            )
        return xs

    def block(self, name, xs, keys, visible):
        found = self.attend(
            self.linear(name + ".self.query", xs),
            self.linear(name + ".self.key", keys),
            self.linear(name + ".self.value", keys),
            visible,
        )
        return self.norm(name + ".output.LayerNorm", xs + self.linear(name + ".output.dense", found), 1e-12)

    def features(self, image, ids, mask):
        visible = mask.bool()[:, None, None, :]
        v = F.normalize(self.linear("vision_proj", image[:, 0]), dim=-1)
        return v, F.normalize(self.linear("text_proj", self.text(ids, visible)[:, 0]), dim=-1)


def soft_cross_entropy(similarity, target):
    return -(F.log_softmax(similarity, 1) * target).sum(1).mean()


def step(model, slow, temperature, queue, s, alpha, image_ids, decoder):
    image = model.vision(s["pixels"])
    v, t = model.features(image, s["ids"], s["mask"])
    with torch.no_grad():
        v_m, t_m = slow.features(slow.vision(s["pixels"]), s["ids"], s["mask"])
        all_v, all_t = torch.cat([v_m.T, queue["image"]], 1), torch.cat([t_m.T, queue["text"]], 1)
        if image_ids:
            same = (s["image_ids"][:, None] == torch.cat([s["image_ids"], queue["ids"]])[None]).double()
            own = same / same.sum(1, keepdim=True)
        else:
            own = torch.zeros(BATCH, BATCH + QUEUE)
            own.fill_diagonal_(1)
        y_v = alpha * F.softmax(v_m @ all_t / temperature, 1) + (1 - alpha) * own
        y_t = alpha * F.softmax(t_m @ all_v / temperature, 1) + (1 - alpha) * own
    itc = (
        soft_cross_entropy(v @ all_t / temperature, y_v) + soft_cross_entropy(t @ all_v / temperature, y_t)
    ) / 2
    with torch.no_grad():
        at = queue["at"]
        queue["image"][:, at : at + BATCH], queue["text"][:, at : at + BATCH] = v_m.T, t_m.T
        queue["ids"][at : at + BATCH] = s["image_ids"] if image_ids else -100
        queue["at"] = (at + BATCH) % QUEUE
    enc = s["ids"].clone()
    enc[:, 0] = ENC
    ids = torch.cat([enc, enc, enc[s["negative_text"]]])
    mask = torch.cat([s["mask"], s["mask"], s["mask"][s["negative_text"]]])
    images = torch.cat([image, image[s["negative_image"]], image])
    states = model.text(ids, mask.bool()[:, None, None, :], images)
    labels = torch.cat([torch.ones(BATCH), torch.zeros(2 * BATCH)]).long()
    itm = F.cross_entropy(model.linear("itm_head", states[:, 0]), labels)
    lm = torch.zeros(())
    if decoder:
        dec = s["ids"].clone()
        dec[:, 0] = DEC
        width = dec.shape[1]
        visible = torch.ones(width, width).tril().bool()[None, None] & s["mask"].bool()[:, None, None, :]
        h = model.text(dec, visible, image, "text_decoder.bert.")
        h = model.norm(
            "text_decoder.cls.predictions.transform.LayerNorm",
            F.gelu(model.linear("text_decoder.cls.predictions.transform.dense", h)),
            1e-12,
        )
        logits = (
            h @ model.w["text_encoder.embeddings.word_embeddings.weight"].T
            + model.w["text_decoder.cls.predictions.bias"]
        )
        labels = dec.masked_fill(s["mask"] == 0, -100)
        lm = F.cross_entropy(
            logits[:, :-1].reshape(-1, WORDS),
            labels[:, 1:].reshape(-1),
            ignore_index=-100,
            label_smoothing=SMOOTHING,
        )
    return itc, itm, lm


def rate(kind, i):
    epoch = i // EPOCH
    if kind == "pretrain":  # warm-up over 3 steps of the first epoch, then decay
        return min(1e-2, 1e-4 + (1e-2 - 1e-4) * i / 3) if epoch == 0 else max(1e-6, 1e-2 * 0.9**epoch)
    return 1e-2 * 0.5 * (1 + math.cos(math.pi * epoch / 2))


def run(kind, steps, seed):
    torch.manual_seed(seed)
    decoder, image_ids = kind == "pretrain", kind == "filter"
    weights = {name: (torch.randn(shape) * 0.3).requires_grad_() for name, shape in names(decoder).items()}
    temperature = torch.tensor(0.07).requires_grad_()
    out = {"weights." + name: w.detach().clone() for name, w in weights.items()} | {
        "weights.temp": temperature.detach().clone()
    }
    copied = [
        name
        for name in weights
        if name.startswith(("vision_model.", "text_encoder.", "vision_proj.", "text_proj."))
    ]
    slow = Model({name: weights[name].detach().clone() for name in copied})
    queue = {
        "image": F.normalize(torch.randn(PROJECTION, QUEUE), dim=0),
        "text": F.normalize(torch.randn(PROJECTION, QUEUE), dim=0),
        "ids": torch.full((QUEUE,), -100),
        "at": 0,
    }
    out |= {f"queue.{name}": queue[name].clone() for name in ("image", "text", "ids")}
    optimizer = torch.optim.AdamW([temperature, *weights.values()], lr=1e-2, weight_decay=DECAY)
    table = []
    for i in range(steps):
        lengths = torch.randint(3, 8, (BATCH,))
        ids = torch.randint(5, DEC, (BATCH, int(lengths.max())))
        mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
        ids = ids * mask
        ids[:, 0] = 2
        ids[torch.arange(BATCH), lengths - 1] = 3

        def other():
            return (torch.arange(BATCH) + torch.randint(1, BATCH, (BATCH,))) % BATCH

        s = {
            "pixels": torch.randn(BATCH, 3, SIDE, SIDE),
            "ids": ids,
            "mask": mask,
            "image_ids": torch.randint(0, 3, (BATCH,)),
            "negative_image": other(),
            "negative_text": other(),
        }
        out |= {f"{i}.{name}": value.clone() for name, value in s.items()}
        alpha = ALPHA * min(1.0, i / ((2 if decoder else 1) * EPOCH))
        with torch.no_grad():
            temperature.clamp_(0.001, 0.5)
            for name in copied:
                slow.w[name] = slow.w[name] * MOMENTUM + weights[name].detach() * (1.0 - MOMENTUM)
        losses = step(Model(weights), slow, temperature, queue, s, alpha, image_ids, decoder)
        optimizer.zero_grad()
        sum(losses).backward()
        if i == 0:
            out |= {"grad." + name: w.grad.clone() for name, w in weights.items()} | {
                "grad.temp": temperature.grad.clone()
            }
        optimizer.param_groups[0]["lr"] = rate(kind, i)
        optimizer.step()
        table.append(
            [*(loss.item() for loss in losses), alpha, rate(kind, i), temperature.item(), queue["at"]]
        )
    out |= {"after." + name: w.detach().clone() for name, w in weights.items()} | {
        "after.temp": temperature.detach().clone()
    }
    out |= {"momentum." + name: w for name, w in slow.w.items()} | {
        f"queue_after.{name}": queue[name].clone() for name in ("image", "text", "ids")
    }
    out["steps"] = torch.tensor(table)
    return {name: value.contiguous() for name, value in out.items()}


for kind, steps, seed in (("pretrain", 10, 1), ("filter", 10, 2)):
    save_file(run(kind, steps, seed), f"{sys.argv[1]}/{kind}.safetensors")
