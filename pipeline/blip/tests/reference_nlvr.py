#!/usr/bin/env python3
"""BLIP's NLVR2 model step by step in plain PyTorch, and the golden files of tests/pairs.rs. Needs torch.

usage: reference_nlvr.py FOLDER        (writes FOLDER/reasoner-original and FOLDER/expected.*)

The weights are random and the seed is fixed, so every run writes the same values. The image encoder is wider
than the text encoder, so that a mix-up of their widths has another shape; two of four layers merge.
Source: BLIP (Li et al. 2022), section 5.4, and the published code's models/blip_nlvr.py and
models/nlvr_encoder.py as they are described: each layer attends to both images with separate weights; the two
outputs are averaged in the lower half of the layers, and concatenated and projected in the upper half;
residual and LayerNorm follow. A linear layer, ReLU and a linear layer classify the state of [ENC]: false,
true.
"""

import json
import math
import pathlib
import shutil
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

SIZES = dict(vision=48, text=32, vision_heads=6, text_heads=4, vision_layers=2, text_layers=4)
SIZES |= dict(side=64, patch=16, words=126, positions=40, ffn=2)
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])
CLS, SEP = 2, 3

STATEMENTS = [
    "two dogs in the picture",
    "a black dog and a white cat on the beach",
    "the cat",
    "three dogs near the water",
]
# Images and statement of each row; the images are in both orders, and one pair has the same image twice.
ROWS = [(0, 1, 0), (1, 0, 0), (2, 1, 1), (1, 2, 2), (2, 2, 3), (0, 2, 1)]


def shapes(z):
    """Names of Hugging Face's layout for the tensors that BLIP has elsewhere, and their shapes."""
    vision, text = z["vision"], z["text"]
    found = {
        "vision_model.embeddings.class_embedding": (1, 1, vision),
        "vision_model.embeddings.position_embedding": (1, 1 + (z["side"] // z["patch"]) ** 2, vision),
        "vision_model.embeddings.patch_embedding.weight": (vision, 3, z["patch"], z["patch"]),
        "vision_model.embeddings.patch_embedding.bias": (vision,),
        "text_encoder.embeddings.word_embeddings.weight": (z["words"], text),
        "text_encoder.embeddings.position_embeddings.weight": (z["positions"], text),
    }

    def linear(name, out, into):
        found[name + ".weight"], found[name + ".bias"] = (out, into), (out,)

    def norm(name, width):
        found[name + ".weight"], found[name + ".bias"] = (width,), (width,)

    norm("vision_model.post_layernorm", vision)
    for i in range(z["vision_layers"]):
        p = f"vision_model.encoder.layers.{i}."
        linear(p + "self_attn.qkv", 3 * vision, vision)
        linear(p + "self_attn.projection", vision, vision)
        linear(p + "mlp.fc1", z["ffn"] * vision, vision)
        linear(p + "mlp.fc2", vision, z["ffn"] * vision)
        norm(p + "layer_norm1", vision)
        norm(p + "layer_norm2", vision)
    norm("text_encoder.embeddings.LayerNorm", text)
    for i in range(z["text_layers"]):
        p = f"text_encoder.encoder.layer.{i}."
        for attention, width in [
            ("attention.self", text),
            ("crossattention.self0", vision),
            ("crossattention.self1", vision),
        ]:
            linear(f"{p}{attention}.query", text, text)
            linear(f"{p}{attention}.key", text, width)
            linear(f"{p}{attention}.value", text, width)
        linear(p + "attention.output.dense", text, text)
        linear(p + "crossattention.output.dense0", text, text)
        linear(p + "crossattention.output.dense1", text, text)
        if i >= z["text_layers"] // 2:
            linear(p + "crossattention.output.merge_layer", text, 2 * text)
        norm(p + "attention.output.LayerNorm", text)
        norm(p + "crossattention.output.LayerNorm", text)
        linear(p + "intermediate.dense", z["ffn"] * text, text)
        linear(p + "output.dense", text, z["ffn"] * text)
        norm(p + "output.LayerNorm", text)
    linear("cls_head.0", text, text)
    linear("cls_head.2", 2, text)
    return found


class Model:
    def __init__(self, weights, sizes):
        self.w, self.z = weights, sizes

    def linear(self, name, xs):
        return xs @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, name, xs, eps=1e-12):
        return F.layer_norm(xs, xs.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"], eps)

    def attend(self, q, k, v, heads, visible):
        def split(xs):
            return xs.view(*xs.shape[:2], heads, xs.shape[-1] // heads).transpose(1, 2)

        scores = split(q) @ split(k).transpose(-1, -2) / math.sqrt(q.shape[-1] // heads)
        if visible is not None:
            scores = scores.masked_fill(~visible, float("-inf"))
        return (scores.softmax(-1) @ split(v)).transpose(1, 2).reshape(q.shape)

    def vision(self, pixels):
        p, z = "vision_model.", self.z
        patches = self.w[p + "embeddings.patch_embedding.weight"]
        xs = F.conv2d(pixels, patches, self.w[p + "embeddings.patch_embedding.bias"], stride=z["patch"])
        first = self.w[p + "embeddings.class_embedding"].expand(len(pixels), 1, z["vision"])
        xs = torch.cat([first, xs.flatten(2).transpose(1, 2)], 1)
        xs = xs + self.w[p + "embeddings.position_embedding"]
        for i in range(z["vision_layers"]):
            b = f"{p}encoder.layers.{i}."
            q, k, v = self.linear(b + "self_attn.qkv", self.norm(b + "layer_norm1", xs, 1e-6)).chunk(3, -1)
            seen = self.attend(q, k, v, z["vision_heads"], None)
            xs = xs + self.linear(b + "self_attn.projection", seen)
            hidden = F.gelu(self.linear(b + "mlp.fc1", self.norm(b + "layer_norm2", xs, 1e-6)))
            xs = xs + self.linear(b + "mlp.fc2", hidden)
        return self.norm(p + "post_layernorm", xs, 1e-6)

    def attention(self, name, xs, read, visible):
        q, k, v = (
            self.linear(f"{name}.{part}", of) for part, of in zip(["query", "key", "value"], [xs, read, read])
        )
        return self.attend(q, k, v, self.z["text_heads"], visible)

    def statement(self, ids, mask, first, second):
        """States of statements; the first id of each row is [ENC]."""
        visible = mask.bool()[:, None, None, :]
        e = "text_encoder.embeddings."
        xs = self.w[e + "word_embeddings.weight"][ids]
        xs = self.norm(e + "LayerNorm", xs + self.w[e + "position_embeddings.weight"][: ids.shape[1]])
        for i in range(self.z["text_layers"]):
            b = f"text_encoder.encoder.layer.{i}."
            own = self.attention(b + "attention.self", xs, xs, visible)
            own = self.linear(b + "attention.output.dense", own)
            xs = self.norm(b + "attention.output.LayerNorm", xs + own)
            cross = b + "crossattention."
            one = self.linear(cross + "output.dense0", self.attention(cross + "self0", xs, first, None))
            two = self.linear(cross + "output.dense1", self.attention(cross + "self1", xs, second, None))
            if i < self.z["text_layers"] // 2:
                both = (one + two) / 2
            else:
                both = self.linear(cross + "output.merge_layer", torch.cat([one, two], -1))
            xs = self.norm(cross + "output.LayerNorm", xs + both)
            hidden = F.gelu(self.linear(b + "intermediate.dense", xs))
            xs = self.norm(b + "output.LayerNorm", xs + self.linear(b + "output.dense", hidden))
        return xs

    def logits(self, ids, mask, first, second):
        ids = ids.clone()
        ids[:, 0] = self.z["words"] - 1
        state = self.statement(ids, mask, first, second)[:, 0]
        return self.linear("cls_head.2", F.relu(self.linear("cls_head.0", state)))


def original_name(name):
    """Name in the published checkpoints."""
    if not name.startswith("vision_model."):
        return name
    name = name.replace("vision_model.", "visual_encoder.", 1)
    for ours, theirs in [
        ("embeddings.class_embedding", "cls_token"),
        ("embeddings.position_embedding", "pos_embed"),
        ("embeddings.patch_embedding.", "patch_embed.proj."),
        ("post_layernorm.", "norm."),
        ("encoder.layers.", "blocks."),
        ("layer_norm", "norm"),
        ("self_attn.qkv", "attn.qkv"),
        ("self_attn.projection", "attn.proj"),
    ]:
        name = name.replace(ours, theirs)
    return name


def random_weights(z, seed):
    """Norms near 1 and 0, so that a forgotten one shows; the classifier is large, so that logits differ."""
    make = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes(z).items():
        drawn = torch.randn(shape, generator=make)
        if "norm" in name.lower():
            weights[name] = drawn * 0.2 + (1.0 if name.endswith("weight") else 0.0)
        else:
            weights[name] = drawn * (0.4 if "cls_head" in name else 0.15 if len(shape) > 1 else 0.1)
    return weights


def config(z):
    tower = dict(hidden_act="gelu")
    text = dict(
        bos_token_id=z["words"] - 2,
        sep_token_id=SEP,
        pad_token_id=0,
        vocab_size=z["words"],
        hidden_size=z["text"],
        encoder_hidden_size=z["vision"],
        intermediate_size=z["ffn"] * z["text"],
        num_hidden_layers=z["text_layers"],
        num_attention_heads=z["text_heads"],
        max_position_embeddings=z["positions"],
        layer_norm_eps=1e-12,
    )
    vision = dict(
        hidden_size=z["vision"],
        intermediate_size=z["ffn"] * z["vision"],
        num_hidden_layers=z["vision_layers"],
        num_attention_heads=z["vision_heads"],
        image_size=z["side"],
        patch_size=z["patch"],
        layer_norm_eps=1e-6,
    )
    return dict(
        model_type="blip", image_text_hidden_size=16, text_config=text | tower, vision_config=vision | tower
    )


@torch.inference_mode()
def main(out):
    z, folder = SIZES, out / "reasoner-original"
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = pathlib.Path(__file__).parent / "golden/answers/answerer-original"
    for name in ["vocab.txt", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"]:
        shutil.copy(tokenizer / name, folder / name)
    weights = random_weights(z, 20)
    (folder / "config.json").write_text(json.dumps(config(z), indent=2, sort_keys=True) + "\n")
    named = {original_name(name): tensor for name, tensor in weights.items()}
    # A buffer of the published files, which a loader must drop.
    named["text_encoder.embeddings.position_ids"] = torch.arange(z["positions"])[None]
    torch.save({"model": named}, folder / "model_base_nlvr.pth")

    pixels = torch.randint(0, 256, (3, z["side"], z["side"], 3), generator=torch.Generator().manual_seed(5))
    pixels = pixels.to(torch.uint8)
    # In f64, so that the limits of the tests are those of the program's rounding.
    model = Model({name: tensor.double() for name, tensor in weights.items()}, z)
    states = model.vision(((pixels / 255 - MEAN) / STD).double().permute(0, 3, 1, 2))
    vocabulary = {word: i for i, word in enumerate((folder / "vocab.txt").read_text().split())}
    rows = []
    for first, second, text in ROWS:
        ids = [CLS, *(vocabulary[word] for word in STATEMENTS[text].split()), SEP]
        one = torch.tensor([ids])
        logits = model.logits(one, torch.ones_like(one), states[[first]], states[[second]])
        rows.append(logits[0])
    logits = torch.stack(rows)
    values = {"pixels_u8": pixels, "states": states.float().contiguous(), "logits": logits.float()}
    save_file(values, out / "expected.safetensors")
    found = dict(torch=torch.__version__, statements=STATEMENTS, rows=ROWS)
    (out / "expected.json").write_text(json.dumps(found, indent=1) + "\n")
    print(logits, logits.softmax(-1)[:, 1])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
