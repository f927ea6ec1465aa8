"""BLIP by transformers, with every choice of capfilt's presets as an explicit argument.

The fixtures, the parity check, the ledger check and the benchmarks' peers import this file. This file knows
nothing of capfilt but the names of its presets. Python is only the reference here, never a part of the
product.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: nothing here may reach a network
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import contextlib
import json
import pathlib
import re

import torch
from transformers import (
    AutoTokenizer,
    BlipForConditionalGeneration,
    BlipForImageTextRetrieval,
    BlipImageProcessorPil,
)
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()

PROMPT = "a picture of "
TEXT_LENGTH = 35
ORIGINAL_VISION_EPS = 1e-6
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]


# ---------------------------------------------------------------- texts


def pre_caption(text, max_words=30):
    """Clean a caption as BLIP does: lower case, some punctuation to spaces, at most `max_words` words."""
    text = re.sub(r"[.!\"()*#:;~]", " ", text.lower())
    text = re.sub(r"\s{2,}", " ", text).rstrip("\n").strip(" ")
    return " ".join(text.split(" ")[:max_words])


def tidy(text):
    """Clean up decoded text as BERT's tokenizer did in transformers 4.15."""
    for mark in (".", "?", "!", ","):
        text = text.replace(f" {mark}", mark)
    text = text.replace(" ' ", "'")
    for tail in ("n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(f" {tail}", tail)
    return text


def decode(tokenizer, ids):
    """Convert ids to text; [DEC] and [ENC] are not in the tokenizer and are dropped first."""
    special = set(tokenizer.all_special_ids)
    return tidy(
        tokenizer.decode(
            [i for i in ids if i < len(tokenizer) and i not in special], clean_up_tokenization_spaces=False
        )
    )


def load_tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def encode(tokenizer, texts):
    return tokenizer(list(texts), padding=True, truncation=True, max_length=TEXT_LENGTH, return_tensors="pt")


def prompt_ids(tokenizer, config, prompt=PROMPT):
    """Return [DEC] and the prompt's tokens, without the [SEP] that the tokenizer adds."""
    ids = tokenizer(prompt).input_ids[:-1]
    ids[0] = config.text_config.bos_token_id
    return ids


# ---------------------------------------------------------------- models


def load_captioner(folder, dtype=torch.float32, **options):
    return BlipForConditionalGeneration.from_pretrained(
        folder, local_files_only=True, dtype=dtype, **options
    ).eval()


def load_filter(folder, dtype=torch.float32, **options):
    return BlipForImageTextRetrieval.from_pretrained(
        folder, local_files_only=True, dtype=dtype, **options
    ).eval()


@contextlib.contextmanager
def vision_eps(model, eps):
    """Run the image encoder with another LayerNorm epsilon; None: the config's epsilon."""
    norms = [m for m in model.vision_model.modules() if isinstance(m, torch.nn.LayerNorm)]
    before = [n.eps for n in norms]
    for norm in norms:
        norm.eps = norm.eps if eps is None else eps
    try:
        yield model
    finally:
        for norm, eps_before in zip(norms, before):
            norm.eps = eps_before


def processor(size):
    """Resize by Pillow as the original does; transformers' default backend gives slightly other pixels."""
    return BlipImageProcessorPil(size={"height": size, "width": size}, image_mean=MEAN, image_std=STD)


def pixels(images, size):
    return processor(size)(images, return_tensors="pt").pixel_values


def enc_id(model):
    return model.config.text_config.vocab_size - 1


def with_enc(ids, model):
    ids = ids.clone()
    ids[:, 0] = enc_id(model)
    return ids


@torch.inference_mode()
def encode_image(model, pixel_values):
    return model.vision_model(pixel_values=pixel_values).last_hidden_state


@torch.inference_mode()
def match_logits(model, image_states, ids, mask):
    """Judge row i of the texts against row i of the images; column 1 is "match"."""
    atts = torch.ones(image_states.shape[:-1], dtype=torch.long, device=image_states.device)
    states = model.text_encoder(
        input_ids=ids, attention_mask=mask, encoder_hidden_states=image_states, encoder_attention_mask=atts
    )
    return model.itm_head(states.last_hidden_state[:, 0])


@torch.inference_mode()
def cosine(model, image_states, ids, mask):
    states = model.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    image = torch.nn.functional.normalize(model.vision_proj(image_states[:, 0]), dim=-1)
    text = torch.nn.functional.normalize(model.text_proj(states[:, 0]), dim=-1)
    return (image * text).sum(-1)


# ---------------------------------------------------------------- generation


@torch.inference_mode()
def generate(model, image_states, start, **options):
    """Run transformers' `generate` from given image states; return ids up to and including [SEP]."""
    text = model.config.text_config
    ids = model.text_decoder.generate(
        input_ids=torch.tensor([start]),
        attention_mask=torch.ones(1, len(start), dtype=torch.long),
        encoder_hidden_states=image_states,
        encoder_attention_mask=torch.ones(image_states.shape[:-1], dtype=torch.long),
        eos_token_id=text.sep_token_id,
        pad_token_id=text.pad_token_id,
        **options,
    )[0].tolist()
    return until(ids, text.sep_token_id)


def until(ids, end):
    return ids[: ids.index(end) + 1] if end in ids else ids


@torch.inference_mode()
def next_logits(model, image_states, rows):
    """Return logits of the next token for rows of equal length, without a cache."""
    ids = torch.tensor(rows)
    states = image_states.expand(len(rows), -1, -1)
    out = model.text_decoder(
        input_ids=ids,
        encoder_hidden_states=states,
        encoder_attention_mask=torch.ones(states.shape[:-1], dtype=torch.long),
        is_decoder=True,
        use_cache=False,
    )
    return out.logits[:, -1].float()


def penalise(scores, row, penalty):
    """Apply the penalty once per distinct id of the row: multiply negative scores, divide positive ones."""
    seen = torch.tensor(sorted(set(row)))
    values = scores[seen]
    scores[seen] = torch.where(values < 0, values * penalty, values / penalty)
    return scores


def beam_search(model, image_states, start, rule, beams=3, max_length=20, min_length=5, penalty=1.0):
    """Search captions of one image by the rule "whole" or "generated".

    Returns (ids, smallest margin of any decision). "whole" is transformers 4.15: the score of a hypothesis is
    sum(log p) / (its ids before [SEP], including [DEC] and prompt). "generated" is transformers 5: sum(log p)
    / (its new ids, including [SEP]), and the stop test also counts new ids.
    """
    end = model.config.text_config.sep_token_id
    live, finished, margin = [(0.0, list(start))], [], float("inf")

    def keep(score, row):
        finished.append((score, row))
        finished.sort(key=lambda f: -f[0])
        del finished[beams:]

    length = len(start)
    while length < max_length:
        scores = torch.log_softmax(next_logits(model, image_states, [row for _, row in live]), -1)
        for (_, row), score in zip(live, scores):
            if penalty != 1.0:
                penalise(score, row, penalty)
            if length < min_length:
                score[end] = -float("inf")
        total = scores + torch.tensor([s for s, _ in live])[:, None]
        values, places = total.flatten().topk(2 * beams + 1)
        candidates = [
            (v, live[p // total.shape[1]][1], p % total.shape[1])
            for v, p in zip(values.tolist(), places.tolist())
        ]

        def gap(i, j, candidates=candidates):
            return candidates[i][0] - candidates[j][0]

        # Only two comparisons decide: which candidates may finish, and which stay open.
        if any(c[2] == end for c in candidates[: beams + 1]):
            margin = min(margin, gap(beams - 1, beams))
        on = [i for i, c in enumerate(candidates) if c[2] != end]
        margin = min(margin, gap(on[beams - 1], on[beams]))
        live = [(candidates[i][0], candidates[i][1] + [candidates[i][2]]) for i in on[:beams]]
        for value, row, token in candidates[:beams]:
            if token == end:
                keep(value / (length if rule == "whole" else length + 1 - len(start)), row + [end])
        # 4.15 compares with the best candidate, [SEP] included, at the length before this token; 5 compares
        # with the best open beam, at the length after it.
        best = candidates[0][0] / length if rule == "whole" else live[0][0] / (length + 1 - len(start))
        length += 1
        if len(finished) == beams:
            # Under 4.15 the best candidate may be the hypothesis that has just finished: then the scores are
            # equal by identity, and the margin does not count.
            itself = (
                rule == "whole" and candidates[0][2] == end and finished[-1][1] == candidates[0][1] + [end]
            )
            margin = margin if itself else min(margin, abs(finished[-1][0] - best))
            if finished[-1][0] >= best:
                break
    else:
        # 4.15 adds every open beam; 5 adds only beams among the best candidates.
        for value, row in (
            live if rule == "whole" else [(v, r + [t]) for v, r, t in candidates[:beams] if t != end]
        ):
            keep(value / (max_length if rule == "whole" else max_length - len(start)), row)
    if len(finished) > 1:
        margin = min(margin, finished[0][0] - finished[1][0])
    return finished[0][1], margin


@torch.inference_mode()
def greedy_margin(model, image_states, ids, start, min_length=0):
    """Return the smallest lead of a chosen token over the second-best along a greedy path."""
    end, margin = model.config.text_config.sep_token_id, float("inf")
    for length in range(start, len(ids)):
        scores = next_logits(model, image_states, [ids[:length]])[0]
        if length < min_length:
            scores[end] = -float("inf")
        top = scores.topk(2)
        assert top.indices[0] == ids[length], "greedy path is not the argmax path"
        margin = min(margin, float(top.values[0] - top.values[1]))
    return margin


# ---------------------------------------------------------------- making models and files


def randomise(model, seed, embedding_scale=0.01):
    """Set weights so that every part affects the result.

    Attention varies, LayerNorms differ from 1 and 0, outputs depend on the image. Patch, class and position
    embeddings are small, so the variance in the first LayerNorm is near 1e-4, where an epsilon of 1e-5
    instead of 1e-6 changes the result.
    """
    g = torch.Generator().manual_seed(seed)

    def normal(shape, std):
        return torch.randn(shape, generator=g) * std

    with torch.no_grad():
        for name, p in model.named_parameters():
            if "layer_norm" in name or "layernorm" in name.lower():
                p.copy_((1.0 if name.endswith("weight") else 0.0) + normal(p.shape, 0.2))
            elif "vision_model.embeddings" in name:
                p.copy_(
                    normal(
                        p.shape,
                        embedding_scale * (p[0].numel() ** -0.5 if "patch_embedding.weight" in name else 1.0),
                    )
                )
            elif "word_embeddings" in name:
                p.copy_(normal(p.shape, 2.0 * p.shape[1] ** -0.5))
            elif "position_embeddings" in name:
                p.copy_(normal(p.shape, 1.0 * p.shape[1] ** -0.5))
            elif p.dim() == 2:
                gain = 6.0 if "itm_head" in name else 2.0 if "crossattention.self" in name else 1.2
                p.copy_(normal(p.shape, gain * p.shape[1] ** -0.5))
            elif p.dim() <= 1:
                p.copy_(normal(p.shape, 0.1))
        if hasattr(model, "text_decoder"):
            head = model.text_decoder.cls.predictions
            head.decoder.weight = model.text_decoder.bert.embeddings.word_embeddings.weight
            head.decoder.bias = head.bias
            head.bias[
                [
                    model.config.text_config.pad_token_id,
                    *range(model.config.text_config.bos_token_id, model.config.text_config.vocab_size),
                ]
            ] -= 20.0
    return model.eval()


def full_state(model):
    """Return the state dict in the form of a .bin file of transformers 4.

    It has every name, `position_ids` included, and tied tensors share storage.
    """
    state = dict(model.state_dict())
    for prefix in ("text_decoder.bert", "text_encoder"):
        if f"{prefix}.embeddings.word_embeddings.weight" in state:
            state[f"{prefix}.embeddings.position_ids"] = torch.arange(
                model.config.text_config.max_position_embeddings
            )[None]
    if hasattr(model, "text_decoder"):
        head = "text_decoder.cls.predictions"
        state[f"{head}.decoder.weight"] = state["text_decoder.bert.embeddings.word_embeddings.weight"]
        state[f"{head}.decoder.bias"] = state[f"{head}.bias"]
    return state


ORIGINAL_NAMES = [
    (r"^vision_model\.embeddings\.class_embedding", "visual_encoder.cls_token"),
    (r"^vision_model\.embeddings\.position_embedding", "visual_encoder.pos_embed"),
    (r"^vision_model\.embeddings\.patch_embedding", "visual_encoder.patch_embed.proj"),
    (r"^vision_model\.encoder\.layers\.(\d+)\.layer_norm(\d)", r"visual_encoder.blocks.\1.norm\2"),
    (r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.qkv", r"visual_encoder.blocks.\1.attn.qkv"),
    (r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.projection", r"visual_encoder.blocks.\1.attn.proj"),
    (r"^vision_model\.encoder\.layers\.(\d+)\.mlp", r"visual_encoder.blocks.\1.mlp"),
    (r"^vision_model\.post_layernorm", "visual_encoder.norm"),
]


def original_state(state):
    """Return the same tensors under the original's names, with the same sharing of storage."""
    renamed = {}
    for name, tensor in state.items():
        for pattern, new in ORIGINAL_NAMES:
            name = re.sub(pattern, new, name)
        assert not name.startswith("vision_model"), name
        renamed[name] = tensor
    return renamed


def with_training_leftovers(state, queue=8, seed=7, momentum=lambda name: True):
    """Return further tensors of a retrieval checkpoint, which a loader must drop."""
    g = torch.Generator().manual_seed(seed)
    width = state["vision_proj.weight"].shape[0]
    extra = dict(state)
    for name, tensor in state.items():
        top, dot, rest = name.partition(".")
        if top in ("visual_encoder", "text_encoder", "vision_proj", "text_proj") and momentum(name):
            extra[f"{top}_m{dot}{rest}"] = tensor.clone() if tensor.dtype == torch.int64 else tensor + 0.5
    extra["temp"] = torch.tensor(0.07)
    extra["image_queue"] = torch.nn.functional.normalize(torch.randn(width, queue, generator=g), dim=0)
    extra["text_queue"] = torch.nn.functional.normalize(torch.randn(width, queue, generator=g), dim=0)
    extra["idx_queue"] = torch.full((1, queue), -100)
    extra["ptr_queue"] = torch.zeros(1, dtype=torch.long)
    return extra


def save_tokenizer(vocab, folder):
    """Write vocab.txt, tokenizer.json and tokenizer_config.json of an uncased WordPiece tokenizer.

    Ids follow the list.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    folder = pathlib.Path(folder)
    index = {word: i for i, word in enumerate(vocab)}
    assert len(index) == len(vocab), "the vocabulary has a word twice"
    tokenizer = Tokenizer(models.WordPiece(index, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(w, index[w]) for w in ("[CLS]", "[SEP]")],
    )
    tokenizer.decoder = decoders.WordPiece()
    names = dict(
        pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]"
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in vocab))
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "model_max_length": 512,
        "tokenize_chinese_chars": True,
        "strip_accents": None,
        **names,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def save_preprocessor(size, folder):
    config = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": MEAN,
        "image_processor_type": "BlipImageProcessor",
        "image_std": STD,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": size, "width": size},
    }
    (pathlib.Path(folder) / "preprocessor_config.json").write_text(json.dumps(config, indent=2) + "\n")


def save_config(model, folder):
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
