#!/usr/bin/env python3
"""BLIP's training step of VQA in plain PyTorch and float64: the reference of tests/vqa.rs. Needs torch.

usage: reference_vqa.py FOLDER

Writes vqa.safetensors; the seed is fixed, so every run writes the same values. The image encoder is narrower
than the text towers, so that a mix-up of their widths has another shape.

The file has `weights.*` before the first step, `grad.*` of the first step, `after.*` after the last step; per
step s `s.pixels`, `s.question_ids`, `s.question_mask`, `s.answer_ids`, `s.answer_mask`, `s.question` (row of
the question of each answer) and `s.weight`; and `steps`: rows of (loss, learning rate).
Source: BLIP (Li et al. 2022), section 5.3, and the published code's models/blip_vqa.py, models/med.py and
data/vqa_dataset.py as they are described: the loss of an answer is the sum over its tokens with a label
smoothing of 0.1, times its share of the answers, and the sum over all answers is divided by the batch size.
"""

import math
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
VISION, TEXT, HEADS, LAYERS, SIDE, PATCH, WORDS, POSITIONS, BATCH = 8, 12, 2, 2, 16, 8, 24, 12, 3
CLS, SEP, DEC, ENC = 2, 3, WORDS - 2, WORDS - 1
EPOCH, SMOOTHING, DECAY, RATE = 3, 0.1, 0.05, 1e-2


def shapes():
    found = {
        "vision_model.embeddings.class_embedding": (1, 1, VISION),
        "vision_model.embeddings.position_embedding": (1, 1 + (SIDE // PATCH) ** 2, VISION),
        "vision_model.embeddings.patch_embedding.weight": (VISION, 3, PATCH, PATCH),
        "vision_model.embeddings.patch_embedding.bias": (VISION,),
        "text_decoder.cls.predictions.bias": (WORDS,),
    }

    def linear(name, out, into):
        found[name + ".weight"], found[name + ".bias"] = (out, into), (out,)

    def norm(name, width):
        found[name + ".weight"], found[name + ".bias"] = (width,), (width,)

    norm("vision_model.post_layernorm", VISION)
    for i in range(LAYERS):
        p = f"vision_model.encoder.layers.{i}."
        linear(p + "self_attn.qkv", 3 * VISION, VISION)
        linear(p + "self_attn.projection", VISION, VISION)
        linear(p + "mlp.fc1", 4 * VISION, VISION)
        linear(p + "mlp.fc2", VISION, 4 * VISION)
        norm(p + "layer_norm1", VISION)
        norm(p + "layer_norm2", VISION)
    for tower, read in [("text_encoder.", VISION), ("text_decoder.bert.", TEXT)]:
        found[tower + "embeddings.word_embeddings.weight"] = (WORDS, TEXT)
        found[tower + "embeddings.position_embeddings.weight"] = (POSITIONS, TEXT)
        norm(tower + "embeddings.LayerNorm", TEXT)
        for i in range(LAYERS):
            p = f"{tower}encoder.layer.{i}."
            for block, width in [("attention", TEXT), ("crossattention", read)]:
                linear(f"{p}{block}.self.query", TEXT, TEXT)
                linear(f"{p}{block}.self.key", TEXT, width)
                linear(f"{p}{block}.self.value", TEXT, width)
                linear(f"{p}{block}.output.dense", TEXT, TEXT)
                norm(f"{p}{block}.output.LayerNorm", TEXT)
            linear(p + "intermediate.dense", 4 * TEXT, TEXT)
            linear(p + "output.dense", TEXT, 4 * TEXT)
            norm(p + "output.LayerNorm", TEXT)
    linear("text_decoder.cls.predictions.transform.dense", TEXT, TEXT)
    norm("text_decoder.cls.predictions.transform.LayerNorm", TEXT)
    return found


class Model:
    def __init__(self, weights):
        self.w = weights

    def linear(self, name, xs):
        return xs @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, name, xs, eps=1e-12):
        return F.layer_norm(xs, xs.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"], eps)

    def attend(self, q, k, v, visible):
        def heads(xs):
            return xs.view(*xs.shape[:2], HEADS, xs.shape[-1] // HEADS).transpose(1, 2)

        scores = heads(q) @ heads(k).transpose(-1, -2) / math.sqrt(q.shape[-1] // HEADS)
        if visible is not None:
            scores = scores.masked_fill(~visible, float("-inf"))
        return (scores.softmax(-1) @ heads(v)).transpose(1, 2).reshape(q.shape)

    def vision(self, pixels):
        p = "vision_model."
        patches = self.w[p + "embeddings.patch_embedding.weight"]
        xs = F.conv2d(pixels, patches, self.w[p + "embeddings.patch_embedding.bias"], stride=PATCH)
        first = self.w[p + "embeddings.class_embedding"].expand(len(pixels), 1, VISION)
        xs = torch.cat([first, xs.flatten(2).transpose(1, 2)], 1)
        xs = xs + self.w[p + "embeddings.position_embedding"]
        for i in range(LAYERS):
            b = f"{p}encoder.layers.{i}."
            q, k, v = self.linear(b + "self_attn.qkv", self.norm(b + "layer_norm1", xs, 1e-6)).chunk(3, -1)
            xs = xs + self.linear(b + "self_attn.projection", self.attend(q, k, v, None))
            hidden = F.gelu(self.linear(b + "mlp.fc1", self.norm(b + "layer_norm2", xs, 1e-6)))
            xs = xs + self.linear(b + "mlp.fc2", hidden)
        return self.norm(p + "post_layernorm", xs, 1e-6)

    def block(self, name, xs, read, visible):
        q = self.linear(name + ".self.query", xs)
        k, v = self.linear(name + ".self.key", read), self.linear(name + ".self.value", read)
        found = self.linear(name + ".output.dense", self.attend(q, k, v, visible))
        return self.norm(name + ".output.LayerNorm", xs + found)

    def text(self, tower, ids, visible, read, read_visible):
        words = F.embedding(ids, self.w[tower + "embeddings.word_embeddings.weight"])
        xs = words + self.w[tower + "embeddings.position_embeddings.weight"][: ids.shape[1]]
        xs = self.norm(tower + "embeddings.LayerNorm", xs)
        for i in range(LAYERS):
            b = f"{tower}encoder.layer.{i}."
            xs = self.block(b + "attention", xs, xs, visible)
            xs = self.block(b + "crossattention", xs, read, read_visible)
            hidden = F.gelu(self.linear(b + "intermediate.dense", xs))
            xs = self.norm(b + "output.LayerNorm", xs + self.linear(b + "output.dense", hidden))
        return xs

    def loss(self, s):
        image = self.vision(s["pixels"])
        question = s["question_ids"].clone()
        question[:, 0] = ENC
        seen = s["question_mask"].bool()[:, None, None, :]
        states = self.text("text_encoder.", question, seen, image, None)
        # The states of a question are repeated for each of its answers.
        states, seen = states[s["question"]], seen[s["question"]]
        answer = s["answer_ids"].clone()
        answer[:, 0] = DEC
        width = answer.shape[1]
        causal = torch.ones(width, width).tril().bool()[None, None]
        causal = causal & s["answer_mask"].bool()[:, None, None, :]
        h = self.text("text_decoder.bert.", answer, causal, states, seen)
        p = "text_decoder.cls.predictions."
        h = self.norm(p + "transform.LayerNorm", F.gelu(self.linear(p + "transform.dense", h)))
        logits = h @ self.w["text_decoder.bert.embeddings.word_embeddings.weight"].T + self.w[p + "bias"]
        labels = answer.masked_fill(s["answer_mask"] == 0, -100)
        of_tokens = F.cross_entropy(
            logits[:, :-1].reshape(-1, WORDS),
            labels[:, 1:].reshape(-1),
            reduction="none",
            label_smoothing=SMOOTHING,
        )
        of_answers = of_tokens.view(len(answer), -1).sum(1)
        return (s["weight"] * of_answers).sum() / len(image)


def texts(count, least, most):
    """Random ids with [CLS], words, [SEP] and padding, and their mask."""
    lengths = torch.randint(least, most, (count,))
    ids = torch.randint(5, DEC, (count, int(lengths.max())))
    mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
    ids = ids * mask
    ids[:, 0] = CLS
    ids[torch.arange(count), lengths - 1] = SEP
    return ids, mask


def sample():
    question_ids, question_mask = texts(BATCH, 4, 9)
    different = torch.randint(1, 4, (BATCH,))
    answer_ids, answer_mask = texts(int(different.sum()), 3, 6)
    shares = [torch.rand(int(n)) + 0.1 for n in different]
    return {
        "pixels": torch.randn(BATCH, 3, SIDE, SIDE),
        "question_ids": question_ids,
        "question_mask": question_mask,
        "answer_ids": answer_ids,
        "answer_mask": answer_mask,
        "question": torch.repeat_interleave(torch.arange(BATCH), different),
        "weight": torch.cat([share / share.sum() for share in shares]),
    }


def run(steps, seed):
    torch.manual_seed(seed)
    weights = {name: (torch.randn(shape) * 0.3).requires_grad_() for name, shape in shapes().items()}
    out = {"weights." + name: w.detach().clone() for name, w in weights.items()}
    optimizer = torch.optim.AdamW(weights.values(), lr=RATE, weight_decay=DECAY)
    table = []
    for i in range(steps):
        s = sample()
        out |= {f"{i}.{name}": value.clone() for name, value in s.items()}
        loss = Model(weights).loss(s)
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


save_file(run(6, 3), f"{sys.argv[1]}/vqa.safetensors")
