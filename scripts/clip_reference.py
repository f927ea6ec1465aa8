"""CLIP in numpy, after transformers' CLIPModel: the reference of the tests, which have no PyTorch.

`make_golden_clip.py` asserts that its vectors are those of CLIPModel. Images are prepared with Pillow, and
texts are tokenized by transformers.
"""

import json
import math
import pathlib

import numpy as np
from PIL import Image
from safetensors.numpy import load_file
from transformers import CLIPTokenizer

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
LONGEST = 77


class Clip:
    """A folder with `config.json`, `model.safetensors`, a tokenizer and squares of `image_size` pixels."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = load_file(folder / "model.safetensors")
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)

    def side(self):
        return self.config["vision_config"]["image_size"]

    def ids(self, text):
        return self.tokenizer(text, truncation=True, max_length=LONGEST).input_ids

    def score(self, images, texts):
        """Return the CLIP scores (images, texts) of Pillow's images: 100 times the cosine."""
        pixels = np.stack([normalised(square(image, self.side())) for image in images])
        return 100 * self.image_vectors(pixels) @ self.text_vectors([self.ids(text) for text in texts]).T

    def image_vectors(self, pixels):
        """Return unit vectors of normalised pixels (images, 3, side, side)."""
        w, config = self.weights, self.config["vision_config"]
        patch = w["vision_model.embeddings.patch_embedding.weight"]
        n, p = len(pixels), patch.shape[-1]
        grid = pixels.shape[-1] // p
        patches = pixels.reshape(n, 3, grid, p, grid, p).transpose(0, 2, 4, 1, 3, 5).reshape(n, grid**2, -1)
        patches = patches @ patch.reshape(len(patch), -1).T
        first = np.broadcast_to(w["vision_model.embeddings.class_embedding"], (n, 1, len(patch)))
        xs = np.concatenate([first, patches], 1) + w["vision_model.embeddings.position_embedding.weight"]
        xs = self.norm("vision_model.pre_layrnorm", xs, config)
        xs = self.blocks("vision_model", xs, config, None)
        return unit(
            self.norm("vision_model.post_layernorm", xs[:, 0], config) @ w["visual_projection.weight"].T
        )

    def text_vectors(self, ids):
        """Return unit vectors of lists of ids, one text at a time."""
        return np.concatenate([self.text_vector(np.array(row)) for row in ids])

    def text_vector(self, ids):
        w, config = self.weights, self.config["text_config"]
        embeddings = "text_model.embeddings."
        xs = (
            w[embeddings + "token_embedding.weight"][ids]
            + w[embeddings + "position_embedding.weight"][: len(ids)]
        )
        mask = np.triu(np.full((len(ids), len(ids)), -np.inf, np.float32), 1)
        xs = self.blocks("text_model", xs[None], config, mask)
        xs = self.norm("text_model.final_layer_norm", xs, config)
        end = config["eos_token_id"]
        at = ids.argmax() if end == 2 else (ids == end).argmax()
        return unit(xs[:, at] @ w["text_projection.weight"].T)

    def norm(self, name, xs, config):
        mean, variance = xs.mean(-1, keepdims=True), xs.var(-1, keepdims=True)
        scaled = (xs - mean) / np.sqrt(variance + config.get("layer_norm_eps", 1e-5))
        return scaled * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def linear(self, name, xs):
        return xs @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def blocks(self, tower, xs, config, mask):
        for i in range(config["num_hidden_layers"]):
            name = f"{tower}.encoder.layers.{i}."
            normed = self.norm(name + "layer_norm1", xs, config)
            xs = xs + self.attention(name + "self_attn.", normed, config["num_attention_heads"], mask)
            hidden = self.linear(name + "mlp.fc1", self.norm(name + "layer_norm2", xs, config))
            xs = xs + self.linear(name + "mlp.fc2", activated(hidden, config["hidden_act"]))
        return xs

    def attention(self, name, xs, heads, mask):
        n, tokens, d = xs.shape

        def split(part):
            return self.linear(name + part, xs).reshape(n, tokens, heads, d // heads).transpose(0, 2, 1, 3)

        q, k, v = split("q_proj"), split("k_proj"), split("v_proj")
        scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(d // heads)
        if mask is not None:
            scores = scores + mask
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        context = weights / weights.sum(-1, keepdims=True) @ v
        return self.linear(name + "out_proj", context.transpose(0, 2, 1, 3).reshape(n, tokens, d))


def activated(xs, name):
    if name == "quick_gelu":
        return xs / (1 + np.exp(-1.702 * xs))
    erf = np.vectorize(math.erf, otypes=[np.float32])
    return xs * (1 + erf(xs / math.sqrt(2))) / 2


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def square(image, side):
    """Return the pixels (side, side, 3): the shorter edge is resized, and the centre is cut out."""
    width, height = image.size
    short = min(width, height)
    size = tuple(side * edge // short for edge in (width, height))
    image = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    left, top = ((edge - side) // 2 for edge in size)
    return np.asarray(image.crop((left, top, left + side, top + side)))


def normalised(pixels_u8):
    pixels = (pixels_u8.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return pixels.transpose(2, 0, 1)
