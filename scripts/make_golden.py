#!/usr/bin/env python3
"""Write pipeline/blip/tests/golden: two tiny random BLIP models and transformers' results for them.

usage: make_golden.py [--out DIR]        (in the venv of scripts/peers.py)

golden/README.md describes the files. The script tries seeds until every recorded decision has a clear margin.
"""

import argparse
import json
import pathlib
import platform
import re
import shutil

import blip_reference as blip
import numpy as np
import torch
import transformers
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForImageTextRetrieval,
    LogitsProcessorList,
)
from transformers.generation import (
    MinLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Least margin of a recorded decision, in logits or summed log-probabilities. Two f32 implementations differ
# by 1e-5.
SAFE_GAP = 1e-3

WORDS = """a an the of in on and with is at to picture photo dog dogs cat bird horse man woman child sitting
standing running red blue green white black small large beach grass water table street car bus train tree sky
two three front near under cup play ing ##s ##ing ##ed ##er ##ly""".split()
LETTERS = list("abcdefghijklmnopqrstuvwxyz0123456789.,'-?")
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(
    dict.fromkeys(WORDS + LETTERS + ["##" + c for c in "abcdefghijklmnopqrstuvwxyz"])
)

CASES = {
    # Head counts other than the library's 8, different widths of text and vision, patches of two sizes.
    "patch16": dict(
        image=96, patch=16, vision=(24, 3, 2), text=(32, 4, 2), joint=24, images=3, portable=True
    ),
    "patch8": dict(image=64, patch=8, vision=(32, 2, 3), text=(48, 6, 2), joint=16, images=3, portable=False),
}

TEXTS = [
    "a dog",
    "A picture of two Dogs, running on the beach!",
    "a small black cat sitting under the large green tree in front of a red car and a blue bus near the "
    "water",
    "zebras & café: 3 trains?",
    " ".join(["a man and a woman with a white horse on the street"] * 6),  # longer than 35 ids: truncated
    "",
]


def config(case):
    width, heads, layers = case["text"]
    v_width, v_heads, v_layers = case["vision"]
    n = len(VOCAB)
    text = dict(
        vocab_size=n + 2,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=40,
        bos_token_id=n,
        sep_token_id=3,
        pad_token_id=0,
        eos_token_id=2,
        layer_norm_eps=1e-12,
        is_decoder=True,
        encoder_hidden_size=v_width,
    )
    vision = dict(
        hidden_size=v_width,
        intermediate_size=2 * v_width,
        num_hidden_layers=v_layers,
        num_attention_heads=v_heads,
        image_size=case["image"],
        patch_size=case["patch"],
        layer_norm_eps=1e-5,
        initializer_range=0.02,
    )
    return BlipConfig(text_config=text, vision_config=vision, image_text_hidden_size=case["joint"])


def pictures(count, size, seed):
    """Make pictures with large and small structure: colour ramps, shapes and noise."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        y, x = np.mgrid[0:size, 0:size] / size
        ramp = np.stack([128 + 120 * np.sin(a * x + b * y + c) for a, b, c in rng.uniform(-7, 7, (3, 3))], -1)
        image = Image.fromarray(np.clip(ramp + rng.normal(0, 12, ramp.shape), 0, 255).astype(np.uint8))
        draw = ImageDraw.Draw(image)
        for _ in range(3):
            x0, y0, w, h = (
                rng.integers(0, size * 2 // 3, 2).tolist() + rng.integers(size // 8, size // 2, 2).tolist()
            )
            (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(
                [x0, y0, x0 + w, y0 + h], fill=tuple(rng.integers(0, 256, 3).tolist())
            )
        out.append(np.asarray(image))
    return np.stack(out)


class CloseCall(Exception):
    pass


def safe(margin, what):
    if margin < SAFE_GAP:
        raise CloseCall(f"{what}: {margin:.1e}")
    return margin


def vision_states(model, pixel_values):
    """Return image states with the config's epsilon (preset hf) and with the original's."""
    hf = blip.encode_image(model, pixel_values)
    with blip.vision_eps(model, blip.ORIGINAL_VISION_EPS):
        original = blip.encode_image(model, pixel_values)
    return {"hf": hf, "original": original}


def judge(model, states, tokenizer):
    """Return P(match) and cosine of every text for every image, under both presets.

    The tensors have the shape (images, texts[, 2]).
    """
    tokens = blip.encode(tokenizer, TEXTS)
    out = {"texts.ids": tokens.input_ids, "texts.mask": tokens.attention_mask}
    for preset, ids in (("hf", tokens.input_ids), ("original", blip.with_enc(tokens.input_ids, model))):
        rows = [s.expand(len(TEXTS), -1, -1) for s in states[preset].split(1)]
        logits = torch.stack([blip.match_logits(model, r, ids, tokens.attention_mask) for r in rows])
        out[f"itm.{preset}.logits"] = logits
        out[f"itm.{preset}.softmax"] = logits.softmax(-1)
        out[f"itc.{preset}.cosine"] = torch.stack(
            [blip.cosine(model, r, tokens.input_ids, tokens.attention_mask) for r in rows]
        )
    return out


def check_judgement(model, values, pixel_values):
    """Check that transformers' own forward gives the values of the parts above, and that scores differ."""
    ids, mask = values["texts.ids"], values["texts.mask"]
    for i, image in enumerate(pixel_values):
        batch = image[None].expand(len(TEXTS), -1, -1, -1)
        with torch.inference_mode():
            whole = model(input_ids=ids, pixel_values=batch, attention_mask=mask).itm_score
            joint = model(
                input_ids=ids, pixel_values=batch, attention_mask=mask, use_itm_head=False
            ).itm_score.diagonal()
        assert torch.allclose(whole, values["itm.hf.logits"][i], atol=1e-5) and torch.allclose(
            joint, values["itc.hf.cosine"][i], atol=1e-5
        )
    match = values["itm.hf.softmax"][..., 1]
    if match.std() < 0.15 or (match - values["itm.original.softmax"][..., 1]).abs().max() < 0.05:
        raise CloseCall("match scores hardly vary")


def describe(model, states, tokenizer):
    """Make greedy and beam captions with and without prompt; every record has all its settings."""
    bos, end = model.config.text_config.bos_token_id, model.config.text_config.sep_token_id
    prompt = blip.prompt_ids(tokenizer, model.config)
    records = []

    def record(image, preset, start, ids, margin, **how):
        if margin >= SAFE_GAP:  # a decision with a smaller margin is left out
            records.append(
                {
                    "image": image,
                    "vision": preset,
                    "start": start,
                    **how,
                    "ids": ids,
                    "text": blip.decode(tokenizer, ids),
                    "ended": ids[-1] == end,
                    "margin": round(margin, 5),
                }
            )

    for i in range(len(states["hf"])):
        for start in ([bos], prompt):
            for preset, low in (("hf", 0), ("original", 5)):
                image = states[preset][i : i + 1]
                ids = blip.generate(
                    model, image, start, num_beams=1, do_sample=False, max_length=20, min_length=low
                )
                margin = blip.greedy_margin(model, image, ids, len(start), low)
                record(i, preset, start, ids, margin, method="greedy", max_length=20, min_length=low)
            for preset, rule in (("hf", "generated"), ("original", "whole")):
                image = states[preset][i : i + 1]
                for penalty, longest in ((1.0, 20), (1.1, 20), (1.0, 9)):  # 9: most captions reach the limit
                    ids, margin = blip.beam_search(
                        model, image, start, rule, penalty=penalty, max_length=longest
                    )
                    if rule == "generated":
                        theirs = blip.generate(
                            model,
                            image,
                            start,
                            num_beams=3,
                            do_sample=False,
                            max_length=longest,
                            min_length=5,
                            repetition_penalty=penalty,
                            length_penalty=1.0,
                            early_stopping=False,
                        )
                        assert margin < SAFE_GAP or ids == theirs, (
                            f"our beam search is not transformers': {ids} {theirs}"
                        )
                    record(
                        i,
                        preset,
                        start,
                        ids,
                        margin,
                        method="beam",
                        beams=3,
                        max_length=longest,
                        min_length=5,
                        repetition_penalty=penalty,
                        length_rule=rule,
                    )
    return records


def check_variety(records):
    """Check that captions end and are cut, images differ, and the two length rules differ at least once."""
    beams = {}
    for r in records:
        if r["method"] == "beam" and r["repetition_penalty"] == 1.0 and r["max_length"] == 20:
            beams.setdefault((r["image"], len(r["start"])), {})[r["length_rule"]] = r["ids"]
    greedy = [tuple(r["ids"]) for r in records if r["method"] == "greedy"]
    enough = {
        "ended": 5 < sum(r["ended"] for r in records) < len(records) - 5,
        "greedy ended": any(r["ended"] for r in records if r["method"] == "greedy"),
        "varied": len(set(greedy)) > len(greedy) // 4
        and sum(len(set(ids)) > 5 for ids in greedy) > len(greedy) // 2,
        "enough": len(records) >= 15 and len(beams) >= 3,
        "rules differ": any(len(b) == 2 and b["whole"] != b["generated"] for b in beams.values()),
        "greedy and beam differ": any(tuple(i) not in greedy for b in beams.values() for i in b.values()),
    }
    if not all(enough.values()):
        raise CloseCall("too uniform: " + ", ".join(k for k, v in enough.items() if not v))


def nucleus_step(row, raw, how, min_length, end):
    """Apply transformers' processors in transformers' order.

    The cut at p is a sum: at the edge of a token, rounding would decide.
    """
    steps = [RepetitionPenaltyLogitsProcessor(1.1), MinLengthLogitsProcessor(min_length, end)]
    steps += [TopKLogitsWarper(how["top_k"])] if how["top_k"] else []
    scores = LogitsProcessorList(steps)(row, raw.clone())
    sums = scores.softmax(-1)[0].sort(descending=True).values.cumsum(0)
    if (sums - how["top_p"]).abs().min() < 1e-4:
        raise CloseCall("nucleus cut")
    return TopPLogitsWarper(how["top_p"])(row, scores).softmax(-1)[0]


@torch.inference_mode()
def nucleus(model, states, tokenizer, seed):
    """Return, along a fixed path, the raw logits of every step and transformers' sampling distribution."""
    text = model.config.text_config
    start = blip.prompt_ids(tokenizer, model.config)
    image = states["original"][:1]
    g = torch.Generator().manual_seed(seed)
    path, settings = (
        list(start),
        [
            dict(top_k=50, top_p=0.9),
            dict(top_k=8, top_p=0.9),
            dict(top_k=50, top_p=0.5),
            dict(top_k=0, top_p=0.9),
        ],
    )
    logits, filtered, min_length = [], {j: [] for j in range(len(settings))}, 8
    for _ in range(10):
        row = torch.tensor([path])
        raw = blip.next_logits(model, image, [path])
        logits.append(raw[0])
        for j, how in enumerate(settings):
            filtered[j].append(nucleus_step(row, raw, how, min_length, text.sep_token_id))
        probs = filtered[0][-1].clone()
        probs[text.sep_token_id] = 0  # the path continues, so that min_length is tested on both sides
        path.append(int(torch.multinomial(probs, 1, generator=g)))
    tensors = {"nucleus.path": torch.tensor(path), "nucleus.logits": torch.stack(logits)}
    tensors |= {f"nucleus.{j}.probs": torch.stack(rows) for j, rows in filtered.items()}
    how = {
        "image": 0,
        "vision": "original",
        "start": start,
        "repetition_penalty": 1.1,
        "min_length": min_length,
        "settings": settings,
        "kept": [[int((p > 0).sum()) for p in rows] for rows in filtered.values()],
    }
    return tensors, how


def position_table(case, seed):
    """Make position embeddings of a grid smaller by 2x2, and BLIP's bicubic enlargement at load time."""
    side, width = case["image"] // case["patch"], case["vision"][0]
    small = torch.randn(1, 1 + (side - 1) ** 2, width, generator=torch.Generator().manual_seed(seed))
    grid = small[:, 1:].reshape(1, side - 1, side - 1, width).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return {
        "position.small": small,
        "position.large": torch.cat([small[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], 1),
    }


def teach(model, pixel_values, tokenizer, seed, steps=90):
    """Train for a few seconds on generated captions, because a random decoder only repeats its last word.

    The model stays undertrained on purpose, so that several tokens are probable at each step and captions end
    at many lengths.
    """
    rng = np.random.default_rng(seed)
    words = WORDS[:44]
    extra = blip.pixels(
        [Image.fromarray(p) for p in pictures(9, pixel_values.shape[-1], seed)], pixel_values.shape[-1]
    )
    images = torch.cat([pixel_values, extra])
    rows = []
    for i in range(len(images)):
        for start in ("", blip.PROMPT):
            first = " ".join(
                rng.choice(words, rng.integers(3, 7))
            )  # common beginning of the image's captions
            rows += [
                (i, f"{start}{first} {' '.join(rng.choice(words, rng.integers(1, 8)))}") for _ in range(3)
            ]
    tokens = tokenizer([text for _, text in rows], padding=True, return_tensors="pt")
    ids, chosen = tokens.input_ids, torch.tensor([i for i, _ in rows])
    ids[:, 0] = model.config.text_config.bos_token_id
    labels = ids.masked_fill(tokens.attention_mask == 0, -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    order = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        batch = torch.randperm(len(rows), generator=order)[:24]
        out = model(
            pixel_values=images[chosen[batch]],
            input_ids=ids[batch],
            attention_mask=tokens.attention_mask[batch],
            labels=labels[batch],
        )
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
    print(f"  captioner seed {seed}: loss {out.loss.item():.2f}")
    return model.eval()


def make_filter(case, first_seed, pixel_values, tokenizer):
    for seed in range(first_seed, first_seed + 200):
        model = blip.randomise(BlipForImageTextRetrieval(config(case)), seed)
        states = vision_states(model, pixel_values)
        try:
            values = judge(model, states, tokenizer)
            check_judgement(model, values, pixel_values)
            return seed, model, states, values
        except CloseCall as why:
            print(f"  filter seed {seed}: {why}")
    raise SystemExit("no seed gives a filter whose scores vary")


def make_captioner(case, first_seed, pixel_values, tokenizer):
    for seed in range(first_seed, first_seed + 400):
        model = teach(
            blip.randomise(BlipForConditionalGeneration(config(case)), seed), pixel_values, tokenizer, seed
        )
        states = vision_states(model, pixel_values)
        try:
            records = describe(model, states, tokenizer)
            check_variety(records)
            sampled = nucleus(model, states, tokenizer, seed)
            return seed, model, states, records, sampled
        except CloseCall as why:
            print(f"  captioner seed {seed}: {why}")
    raise SystemExit("no seed gives a captioner without close calls")


def save_model(model, size, folder, weights):
    folder.mkdir(parents=True)
    blip.save_config(model, folder)
    blip.save_tokenizer(VOCAB, folder)
    blip.save_preprocessor(size, folder)
    weights(folder)
    for extra in ("special_tokens_map.json", "generation_config.json"):
        (folder / extra).unlink(missing_ok=True)


def as_transformers(model):
    """Write the form of `save_pretrained` of transformers 5: one of two tied tensors is left out."""
    return lambda folder: model.save_pretrained(folder)


def as_hub_bot(model):
    """Write the form of the hub's conversion: with `decoder.weight` and `position_ids`, no `decoder.bias`."""
    state = {
        k: v.detach().clone().contiguous()
        for k, v in blip.full_state(model).items()
        if not k.endswith("predictions.decoder.bias")
    }
    return lambda folder: save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def as_pickle(model):
    return lambda folder: torch.save(
        {k: v.detach() for k, v in blip.full_state(model).items()}, folder / "pytorch_model.bin"
    )


def as_original(model, name):
    state = blip.original_state({k: v.detach() for k, v in blip.full_state(model).items()})
    if "itm_head.weight" in state:
        # Momentum copies of a few tensors are sufficient for the test.
        state = blip.with_training_leftovers(state, momentum=lambda n: "norm" in n or "proj" in n)
    return lambda folder: torch.save({"model": state}, folder / name)


def make_case(name, case, out):
    print(name)
    blip.save_tokenizer(VOCAB, out)
    tokenizer = blip.load_tokenizer(out)
    pixels_u8 = pictures(case["images"], case["image"], seed=case["image"])
    pixel_values = blip.pixels([Image.fromarray(p) for p in pixels_u8], case["image"])
    f_seed, judge_model, f_states, values = make_filter(case, 0, pixel_values, tokenizer)
    c_seed, caption_model, c_states, records, (sampled, how) = make_captioner(
        case, 1000, pixel_values, tokenizer
    )
    size = case["image"]
    writers = {
        "captioner": (caption_model, as_transformers if case["portable"] else as_hub_bot),
        "filter": (judge_model, as_transformers),
    }
    for part, (model, writer) in writers.items():
        save_model(model, size, out / part, writer(model))
    if case["portable"]:
        save_model(caption_model, size, out / "captioner-bin", as_pickle(caption_model))
        save_model(
            caption_model,
            size,
            out / "captioner-original",
            as_original(caption_model, "model_base_caption.pth"),
        )
        save_model(
            judge_model, size, out / "filter-original", as_original(judge_model, "model_base_retrieval.pth")
        )
    for extra in ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"):
        (out / extra).unlink(missing_ok=True)
    tensors = {"pixels_u8": torch.from_numpy(pixels_u8.copy()), "pixels_norm": pixel_values[:1]}
    tensors |= {f"filter.vision.{k}": v for k, v in f_states.items()} | {
        f"captioner.vision.{k}": v for k, v in c_states.items()
    }
    tensors |= {k: v for k, v in values.items()} | sampled | position_table(case, 5)
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, out / "expected.safetensors")
    singles = [tokenizer(t, truncation=True, max_length=blip.TEXT_LENGTH).input_ids for t in TEXTS]
    expected = {
        "made_with": versions(),
        "seeds": {"filter": f_seed, "captioner": c_seed},
        "dec_id": len(VOCAB),
        "enc_id": len(VOCAB) + 1,
        "sep_id": 3,
        "pad_id": 0,
        "texts": [{"text": t, "ids": ids, "cleaned": blip.pre_caption(t)} for t, ids in zip(TEXTS, singles)],
        "captions": records,
        "nucleus": how,
    }
    write_json(out / "expected.json", expected)
    print(
        f"  filter seed {f_seed}, captioner seed {c_seed}; P(match) "
        f"{values['itm.original.softmax'][..., 1].min():.3f}.."
        f"{values['itm.original.softmax'][..., 1].max():.3f}; "
        f""
        f"{sum(r['ended'] for r in records)} of {len(records)} captions ended; smallest margin "
        f"{min(r['margin'] for r in records)}"
    )


def write_json(path, value):
    """Dump JSON with indentation, and with lists of numbers on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = re.sub(r"\[\s+((?:-?[\d.e-]+,?\s*)+)\]", lambda m: "[" + " ".join(m[1].split()) + "]", text)
    path.write_text(text + "\n")


def versions():
    return {
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "pipeline/blip/tests/golden")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    for name, case in CASES.items():
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
        make_case(name, case, out / name)
    total = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"{total / 1e6:.2f} MB in {out}")


if __name__ == "__main__":
    main()
