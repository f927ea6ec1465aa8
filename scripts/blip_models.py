"""BLIP-base and BLIP-large with random weights, for the parity check and the benchmarks.

The checks do not depend on published weights. They use models of the published shapes; their random weights
are scaled so that scores vary, captions depend on the image, and some captions end early. As a program, this
file writes a pair of models for the benchmarks:

usage: blip_models.py DIR [--size base|large]        -> DIR/captioner, DIR/filter
"""

import argparse
import itertools
import pathlib

import blip_reference as blip
import torch
from transformers import BlipConfig, BlipForConditionalGeneration, BlipForImageTextRetrieval

# width, layers, heads
VISION = {"base": (768, 12, 12), "large": (1024, 24, 16)}
SIDE = 384


def vocabulary():
    """Return 30,522 entries like those of bert-base-uncased.

    Special tokens and the words of the prompt have its ids; all other entries are made of syllables.
    """
    words = [None] * 30522
    fixed = {
        "[PAD]": 0,
        "[UNK]": 100,
        "[CLS]": 101,
        "[SEP]": 102,
        "[MASK]": 103,
        "a": 1037,
        "picture": 3861,
        "of": 1997,
    }
    for word, i in fixed.items():
        words[i] = word
    for i in range(1, 100):
        words[i] = f"[unused{i - 1}]"
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    syllables = [
        c + v + e
        for c, v, e in itertools.product(
            ["b", "d", "f", "gr", "k", "l", "m", "n", "p", "r", "st", "t", "w"], "aeiou", ["", "n", "r", "s"]
        )
    ]
    common = [
        "the",
        "and",
        "in",
        "on",
        "an",
        "with",
        "woman",
        "man",
        "cat",
        "dog",
        "##s",
        "photo",
        "cup",
        "coffee",
        "red",
        "green",
        "small",
        "table",
        "orange",
        "suit",
        "lying",
        "down",
        "bird",
        "near",
        "sea",
        "box",
        "two",
        "next",
        "to",
        "spoon",
        "wood",
        "##en",
    ]
    source = itertools.chain(
        ".,!?'-&:;()\"#*~",
        letters,
        ("##" + c for c in letters),
        common,
        syllables,
        ("##" + s for s in syllables),
        ("".join(p) for p in itertools.product(syllables, syllables)),
    )
    taken = set(words)
    fresh = (w for w in source if w not in taken and not taken.add(w))
    return [w if w is not None else next(fresh) for w in words]


def config(size):
    width, layers, heads = VISION[size]
    text = dict(
        vocab_size=30524,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        max_position_embeddings=512,
        bos_token_id=30522,
        sep_token_id=102,
        pad_token_id=0,
        eos_token_id=2,
        layer_norm_eps=1e-12,
        is_decoder=True,
        encoder_hidden_size=width,
    )
    vision = dict(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=SIDE,
        patch_size=16,
        layer_norm_eps=1e-5,
        initializer_range=0.02,
    )
    return BlipConfig(text_config=text, vision_config=vision, image_text_hidden_size=256)


@torch.no_grad()
def quieten(model, attention, crossattention, ffn):
    """Weaken the sub-layers of the text encoder.

    With twelve strong random sub-layers the final state would hardly depend on the words.
    """
    for name, p in model.named_parameters():
        if name.startswith("text_") and name.endswith("output.dense.weight"):
            p.mul_(crossattention if "crossattention" in name else attention if "attention" in name else ffn)
        elif name.startswith("text_") and name.endswith("bias") and "predictions" not in name:
            p.mul_(0.1)
        elif "position_embeddings" in name:
            p.mul_(0.5)
    return model


def make_captioner(size):
    model = quieten(
        blip.randomise(BlipForConditionalGeneration(config(size)), seed=1),
        attention=0.15,
        crossattention=0.08,
        ffn=0.1,
    )
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[102] += 6.0  # so that some captions end
    return model


def make_filter(size):
    return quieten(
        blip.randomise(BlipForImageTextRetrieval(config(size)), seed=2),
        attention=0.6,
        crossattention=0.2,
        ffn=0.1,
    )


def save(model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    blip.save_config(model, folder)
    blip.save_preprocessor(SIDE, folder)
    blip.save_tokenizer(vocabulary(), folder)
    model.save_pretrained(folder)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--size", choices=list(VISION), default="base")
    args = p.parse_args()
    save(make_captioner(args.size), args.folder / "captioner")
    save(make_filter(args.size), args.folder / "filter")


if __name__ == "__main__":
    main()
