#!/usr/bin/env python3
"""Judge a cleaning job again with transformers, and compare the results with its ledger.

usage: score_with_transformers.py [LEDGER.parquet ...] --input WEB.parquet ... --filter DIR [--captioner DIR]

Every text with a score in the ledger is scored again by the rules of preset `original`: cleaned by
pre_caption(30 words), padded, at most 35 ids, [ENC] at position 0, vision epsilon 1e-6, f32. The output has
the largest differences of P(match) and cosine, the verdicts that differ, and, if the input has a `scene`
column, the accuracy of both sides' verdicts. With `--captioner`, the script also checks for every synthetic
text whether nucleus sampling could have drawn it from the captioner.

Without a ledger, transformers alone judges the web texts of the input; with `--captioner` it also draws one
caption per image. The exit code is 1 if a score differs by more than `--tolerance`, or if a judged row is
missing from the input.
"""

import argparse
import collections
import io
import json
import math
import sys

import blip_reference as blip
import pyarrow.parquet as pq
import torch
from PIL import Image
from transformers import LogitsProcessorList
from transformers.generation import (
    MinLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("ledger", nargs="*")
    p.add_argument("--input", nargs="+", required=True)
    p.add_argument("--filter", required=True)
    p.add_argument("--captioner")
    p.add_argument("--key", default="key")
    p.add_argument("--image", default="jpg")
    p.add_argument("--text", default="caption")
    p.add_argument("--web-threshold", type=float, default=0.5)
    p.add_argument("--synthetic-threshold", type=float, default=0.5)
    p.add_argument(
        "--tolerance",
        type=float,
        default=1e-3,
        help="largest allowed difference of a score (f32: 1e-4; a bf16 job needs more)",
    )
    p.add_argument("--max-length", type=int, default=20, help="of drawn captions, in ids, prompt included")
    p.add_argument("--seed", type=int, default=0, help="of drawn captions")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--limit", type=int, help="number of rows of the ledger (or the input) to read")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--json", action="store_true")
    return p.parse_args()


# ---------------------------------------------------------------- truth of the scenes world


def true_forms(scene):
    """Return all true sentences about a scene: its objects with their attributes, on its background."""
    names = [f"a {size} {colour} {shape}" for size, colour, shape in scene["objs"]]
    end = f" on a {scene['bg']} background"
    if len(names) == 1:
        return {names[0] + end}
    forth, back = ("left of", "right of") if scene["ax"] == "h" else ("above", "below")
    first, second = names
    return {f"{first} {forth} {second}{end}", f"{second} {back} {first}{end}"}


def is_true(text, scene):
    return blip.pre_caption(text or "", 10_000) in true_forms(scene)


# ---------------------------------------------------------------- reading


def read_input(args, wanted):
    """Return key -> (image bytes, text, scene or None), for the wanted keys or for all."""
    rows = {}
    for path in args.input:
        file = pq.ParquetFile(path)
        columns = [args.key, args.image, args.text] + (
            ["scene"] if "scene" in file.schema_arrow.names else []
        )
        for batch in file.iter_batches(batch_size=1024, columns=columns):
            for row in batch.to_pylist():
                if wanted is None or row[args.key] in wanted:
                    image = row[args.image]
                    image = image["bytes"] if isinstance(image, dict) else image
                    rows[row[args.key]] = (
                        image,
                        row[args.text],
                        json.loads(row["scene"]) if row.get("scene") else None,
                    )
    return rows


def read_ledger(args):
    """Return one dict per text with a score in the ledger, and the number of rows by status."""
    texts, statuses, unscored = [], collections.Counter(), 0
    for path in args.ledger:
        for row in pq.read_table(path).to_pylist():
            statuses[row["status"]] += 1
            if row["status"] != "judged":
                continue
            for text in row["texts"]:
                if text["itm"] is None:
                    unscored += 1
                else:
                    names = ("source", "text", "itm", "itc", "kept")
                    texts.append({"key": row["key"], **{name: text[name] for name in names}})
    return texts, statuses, unscored


def image_of(data, size):
    return blip.pixels([Image.open(io.BytesIO(data)).convert("RGB")], size)


# ---------------------------------------------------------------- judging


def judge(args, texts, rows):
    """Add transformers' `match` and `cosine` to every text.

    The texts of one image are consecutive, so the image is encoded once per batch.
    """
    model, tokenizer = blip.load_filter(args.filter), blip.load_tokenizer(args.filter)
    size = model.config.vision_config.image_size
    with blip.vision_eps(model, blip.ORIGINAL_VISION_EPS):
        for at in range(0, len(texts), args.batch):
            part = texts[at : at + args.batch]
            keys = list(dict.fromkeys(t["key"] for t in part))
            states = blip.encode_image(model, torch.cat([image_of(rows[k][0], size) for k in keys]))
            states = states[torch.tensor([keys.index(t["key"]) for t in part])]
            tokens = blip.encode(tokenizer, [blip.pre_caption(t["text"] or "") for t in part])
            match = blip.match_logits(
                model, states, blip.with_enc(tokens.input_ids, model), tokens.attention_mask
            ).softmax(-1)[:, 1]
            cosine = blip.cosine(model, states, tokens.input_ids, tokens.attention_mask)
            for text, m, c in zip(part, match.tolist(), cosine.tolist()):
                text["match"], text["cosine"] = m, c


def draw(args, rows):
    """Write one caption per image by nucleus sampling."""
    model, tokenizer = blip.load_captioner(args.captioner), blip.load_tokenizer(args.captioner)
    text, size = model.config.text_config, model.config.vision_config.image_size
    start = blip.prompt_ids(tokenizer, model.config)
    torch.manual_seed(args.seed)
    keys, texts = list(rows), []
    with blip.vision_eps(model, blip.ORIGINAL_VISION_EPS):
        for at in range(0, len(keys), args.batch):
            part = keys[at : at + args.batch]
            states = blip.encode_image(model, torch.cat([image_of(rows[k][0], size) for k in part]))
            ids = torch.tensor([start] * len(part))
            with torch.inference_mode():
                out = model.text_decoder.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    encoder_hidden_states=states,
                    encoder_attention_mask=torch.ones(states.shape[:-1], dtype=torch.long),
                    eos_token_id=text.sep_token_id,
                    pad_token_id=text.pad_token_id,
                    do_sample=True,
                    top_p=0.9,
                    top_k=50,
                    repetition_penalty=1.1,
                    min_length=5,
                    max_length=args.max_length,
                )
            texts += [
                dict(key=k, source="synthetic", text=blip.decode(tokenizer, row[len(start) :]))
                for k, row in zip(part, out.tolist())
            ]
    return texts


@torch.inference_mode()
def walk(args, texts, rows):
    """Count the synthetic texts that could have been drawn, with the prompt.

    Every id must be inside the nucleus (p 0.9, k 50, penalty 1.1, at least 5 ids). A drawn caption may be
    tokenised into other WordPieces; such a text counts as outside, so a few are not an error.
    """
    model, tokenizer = blip.load_captioner(args.captioner), blip.load_tokenizer(args.captioner)
    size, end = model.config.vision_config.image_size, model.config.text_config.sep_token_id
    start = blip.prompt_ids(tokenizer, model.config)
    # A little more than 0.9, because rounding decides for a token exactly at the edge.
    steps = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(1.1),
            MinLengthLogitsProcessor(5, end),
            TopKLogitsWarper(50),
            TopPLogitsWarper(0.9001),
        ]
    )
    inside = 0
    with blip.vision_eps(model, blip.ORIGINAL_VISION_EPS):
        for at in range(0, len(texts), args.batch):
            part = texts[at : at + args.batch]
            states = blip.encode_image(model, torch.cat([image_of(rows[t["key"]][0], size) for t in part]))
            ids = [start + tokenizer(t["text"]).input_ids[1:] for t in part]
            longest = max(map(len, ids))
            padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
            mask = (torch.arange(longest)[None] < torch.tensor([len(r) for r in ids])[:, None]).long()
            logits = model.text_decoder(
                input_ids=padded,
                attention_mask=mask,
                encoder_hidden_states=states,
                encoder_attention_mask=torch.ones(states.shape[:-1], dtype=torch.long),
                is_decoder=True,
                use_cache=False,
            ).logits
            for row, scores in zip(ids, logits):
                # A caption that reached the length limit has no [SEP]; the tokenizer's [SEP] is not part of
                # it.
                length = min(len(row), args.max_length)
                inside += all(
                    steps(torch.tensor([row[:n]]), scores[n - 1 : n].clone())[0, row[n]] > -float("inf")
                    for n in range(len(start), length)
                )
    return inside


# ---------------------------------------------------------------- figures


def share(part, whole):
    return round(100 * part / whole, 1) if whole else None


def sources(texts):
    return list(dict.fromkeys(text["source"] for text in texts))


def truth_figures(texts, rows, kept):
    """Return, per source, in per cent: true, kept, kept and true (precision), true and kept (recall)."""
    out = {}
    for source in sources(texts):
        mine = [
            (is_true(t["text"], rows[t["key"]][2]), kept(t))
            for t in texts
            if t["source"] == source and rows[t["key"]][2]
        ]
        true, keep, both = sum(a for a, _ in mine), sum(b for _, b in mine), sum(a and b for a, b in mine)
        if mine:
            out[source] = {
                "texts": len(mine),
                "true": share(true, len(mine)),
                "kept": share(keep, len(mine)),
                "precision": share(both, keep),
                "recall": share(both, true),
            }
    return out


def compare(args, texts):
    """Print the differences between the ledger's numbers and transformers'."""
    out = {}
    for source in sources(texts):
        mine = [t for t in texts if t["source"] == source]
        if not mine:
            continue

        def gap(ours, theirs):
            return float("inf") if math.isnan(ours) else abs(ours - theirs)

        worst = max(mine, key=lambda t: gap(t["itm"], t["match"]))
        differ = [t for t in mine if t["kept"] != theirs_keep(args, t)]
        out[source] = {
            "texts": len(mine),
            "max_abs_match": gap(worst["itm"], worst["match"]),
            "worst": {
                "key": worst["key"],
                "text": worst["text"],
                "ledger": worst["itm"],
                "transformers": worst["match"],
            },
            "max_abs_cosine": max(
                (gap(t["itc"], t["cosine"]) for t in mine if t["itc"] is not None), default=None
            ),
            "verdicts_differ": len(differ),
            "verdicts_differ_beyond_rounding": sum(
                abs(t["match"] - threshold(args, t)) > args.tolerance for t in differ
            ),
        }
    return out


def threshold(args, text):
    return args.synthetic_threshold if text["source"] == "synthetic" else args.web_threshold


def theirs_keep(args, text):
    return text["match"] >= threshold(args, text)


def show(out):
    for name, value in out.items():
        if isinstance(value, dict):
            for inner, v in value.items():
                print(f"{name + ' ' + inner:36} {v}")
        else:
            print(f"{name:36} {value}")


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    out, ok = {}, True
    if args.ledger:
        texts, statuses, unscored = read_ledger(args)
        if args.limit:
            allowed = set(list(dict.fromkeys(t["key"] for t in texts))[: args.limit])
            texts = [t for t in texts if t["key"] in allowed]
        rows = read_input(args, {t["key"] for t in texts})
        missing = {t["key"] for t in texts} - set(rows)
        texts = [t for t in texts if t["key"] in rows]
        if not texts:
            sys.exit(
                f"score_with_transformers: the ledger has no scored text whose `{args.key}` is in the input. "
                f"Do they belong together?"
            )
        out["ledger"] = {
            "statuses": dict(statuses),
            "texts without a score": unscored,
            "keys not in the input": len(missing),
        }
        judge(args, texts, rows)
        out |= {f"difference, {k}": v for k, v in compare(args, texts).items()}
        ok = not missing and all(
            max(v["max_abs_match"], v["max_abs_cosine"] or 0) <= args.tolerance
            for k, v in out.items()
            if k.startswith("difference")
        )
        out["truth by the ledger"] = truth_figures(texts, rows, lambda t: t["kept"])
        if args.captioner:
            drawn = [t for t in texts if t["source"] == "synthetic"]
            out["synthetic inside the nucleus"] = f"{walk(args, drawn, rows)} of {len(drawn)}"
    else:
        rows = read_input(args, None)
        rows = dict(list(rows.items())[: args.limit])
        texts = [dict(key=k, source="web", text=text) for k, (_, text, _) in rows.items()]
        if args.captioner:
            drawn = draw(args, rows)
            out["synthetic inside the nucleus"] = f"{walk(args, drawn, rows)} of {len(drawn)}"
            texts = [t for pair in zip(texts, drawn) for t in pair]
        judge(args, texts, rows)
    out["truth by transformers"] = truth_figures(texts, rows, lambda t: theirs_keep(args, t))
    print(json.dumps(out)) if args.json else show(out)
    sys.exit(0 if ok else 1)


main()
