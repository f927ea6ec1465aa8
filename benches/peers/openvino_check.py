"""Comparison of capfilt_openvino.py with transformers in f32: the option `--check`."""

import blip_reference as blip
import numpy as np
import torch
from capfilt_transformers import NUCLEUS
from nucleus import Chooser, penalised, probabilities
from transformers.generation import (
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

# f32 sums of up to 3072 products in another order; logits have magnitudes of 10.
LIMITS = {"logits": 1e-3, "ITM logits": 1e-3, "P(match)": 1e-4, "probability of a word": 1e-6}


def decoding(peer, model, pixels):
    """Return the largest differences of logits and probabilities, and whether greedy ids are equal.

    The given ids are those of transformers' greedy captions, whose logits are computed without a cache.
    """
    text = model.config.text_config
    states = blip.encode_image(model, pixels)
    options = {key: NUCLEUS[key] for key in ("repetition_penalty", "min_length", "max_length")}
    starts = np.array([peer.start] * len(pixels))
    greedy = [blip.generate(model, one[None], peer.start, do_sample=False, **options) for one in states]
    image = peer.graphs.image("captioner_image", pixels.numpy())
    best = Chooser(text)
    ours = peer.graphs.decode(image, starts, best, NUCLEUS["max_length"]).tolist()
    equal = [blip.until(row, text.sep_token_id) for row in ours] == greedy

    apart = {"logits": 0.0, "probability of a word": 0.0}
    given = np.full((len(pixels), NUCLEUS["max_length"]), text.sep_token_id + 1)
    for row, ids in zip(given, greedy):
        row[: len(ids) - 1] = ids[:-1]  # without the end, so that no row stops

    def follow(ids, logits):
        theirs = torch.cat(
            [blip.next_logits(model, states[i][None], [row]) for i, row in enumerate(ids.tolist())]
        )
        apart["logits"] = max(apart["logits"], float(np.abs(theirs.numpy() - logits).max()))
        apart["probability of a word"] = max(apart["probability of a word"], drawn_apart(text, ids, logits))
        return given[:, ids.shape[1]]

    peer.graphs.decode(image, starts, follow, NUCLEUS["max_length"])
    return apart, equal


def drawn_apart(text, ids, logits):
    """Return the largest difference of the sampler's probabilities from those of transformers' processors."""
    processors = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(NUCLEUS["repetition_penalty"]),
            MinLengthLogitsProcessor(NUCLEUS["min_length"], [text.sep_token_id], device="cpu"),
            TopKLogitsWarper(NUCLEUS["top_k"]),
            TopPLogitsWarper(NUCLEUS["top_p"]),
        ]
    )
    theirs = processors(torch.from_numpy(ids), torch.from_numpy(logits.copy())).softmax(-1).numpy()
    scores = penalised(logits, ids, text.sep_token_id, NUCLEUS["repetition_penalty"])
    top, ps = probabilities(scores)
    ours = np.zeros_like(theirs)
    np.put_along_axis(ours, top, ps, 1)
    return float(np.abs(theirs - ours).max())


def matching(peer, model, pixels, web):
    """Return the largest differences for two texts per image: its web text and the next one."""
    states = blip.encode_image(model, pixels)
    pairs = list(zip(web, web[1:] + web[:1]))
    image = peer.graphs.image("filter_image", pixels.numpy())
    ours = torch.from_numpy(peer.graphs.match(image, *peer.tokenised(pairs)))
    apart = {"ITM logits": 0.0, "P(match)": 0.0}
    for column in range(2):
        tokens = blip.encode(peer.tokenizer, [blip.pre_caption(pair[column]) for pair in pairs])
        ids = blip.with_enc(tokens.input_ids, model)
        theirs = blip.match_logits(model, states, ids, tokens.attention_mask)
        both = ours[:, column]
        for name, one, other in (
            ("ITM logits", theirs, both),
            ("P(match)", theirs.softmax(-1)[:, 1], both.softmax(-1)[:, 1]),
        ):
            apart[name] = max(apart[name], float((one - other).abs().max()))
    return apart


def check(peer, args, pixels, web):
    """Print the largest differences over one batch; return the exit status."""
    pixels, web = pixels[: args.batch], web[: args.batch]
    apart, equal = decoding(peer, blip.load_captioner(args.captioner), pixels)
    apart |= matching(peer, blip.load_filter(args.filter), pixels, web)
    print(f"openvino {args.dtype}, runs {peer.graphs.runs}; {len(web)} images; largest differences:")
    for name, limit in LIMITS.items():
        print(f"  {name}: {apart[name]:.2e} (limit in f32: {limit:.0e})")
    print(f"  ids of greedy captions: {'equal' if equal else 'different'}")
    passed = equal and all(apart[name] <= limit for name, limit in LIMITS.items())
    print("passed" if passed else "beyond the limits" if args.dtype == "f32" else "not held to the limits")
    return 0 if passed or args.dtype != "f32" else 1
