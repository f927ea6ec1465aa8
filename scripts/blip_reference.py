"""BLIP by transformers, arranged so that every choice of capfilt's presets is explicit.

The fixtures, the parity check, the ledger check and the benchmarks' peers all import this file. It may not know
anything of capfilt but the names of its presets. Python is a measuring stick here, never part of the product.
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
    """BLIP's cleaning of a caption: lower case, some punctuation to spaces, at most `max_words` words."""
    text = re.sub(r"[.!\"()*#:;~]", " ", text.lower())
    text = re.sub(r"\s{2,}", " ", text).rstrip("\n").strip(" ")
    return " ".join(text.split(" ")[:max_words])


def tidy(text):
    """The clean-up BERT's decoder did in transformers 4.15."""
    for mark in (".", "?", "!", ","):
        text = text.replace(f" {mark}", mark)
    text = text.replace(" ' ", "'")
    for tail in ("n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(f" {tail}", tail)
    return text


def decode(tokenizer, ids):
    """Ids to text; [DEC] and [ENC] are no words of the tokenizer and are dropped first."""
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
    """[DEC] and the prompt's words; the [SEP] that the tokenizer adds is cut off."""
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
    """Run the vision tower with another LayerNorm epsilon; None leaves the config's."""
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
    """Pillow's resize, as the original did it; transformers' default backend gives slightly other pixels."""
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
    """Row i of the texts against row i of the images; column 1 is "match"."""
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
    """transformers' own `generate` from given image states; returns ids up to and with [SEP]."""
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
    """Logits of the next token for rows of equal length, without any cache."""
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
    """Once for every distinct id of the row: what is negative grows, what is positive shrinks."""
    seen = torch.tensor(sorted(set(row)))
    values = scores[seen]
    scores[seen] = torch.where(values < 0, values * penalty, values / penalty)
    return scores


def beam_search(model, image_states, start, rule, beams=3, max_length=20, min_length=5, penalty=1.0):
    """Beam search for one image by the rule "whole" or "generated"; returns (ids, smallest margin of any decision).

    "whole" is transformers 4.15: a hypothesis scores sum(log p) / (its ids before [SEP], [DEC] and prompt included).
    "generated" is transformers 5: / (its new ids, [SEP] included), and the stop test uses new ids likewise.
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

        # Only these two cuts decide anything: who may finish, and who lives on.
        if any(c[2] == end for c in candidates[: beams + 1]):
            margin = min(margin, gap(beams - 1, beams))
        on = [i for i, c in enumerate(candidates) if c[2] != end]
        margin = min(margin, gap(on[beams - 1], on[beams]))
        live = [(candidates[i][0], candidates[i][1] + [candidates[i][2]]) for i in on[:beams]]
        for value, row, token in candidates[:beams]:
            if token == end:
                keep(value / (length if rule == "whole" else length + 1 - len(start)), row + [end])
        # 4.15 asks the best candidate, [SEP] or not, at the length before this token; 5 asks the best that lives, after it.
        best = candidates[0][0] / length if rule == "whole" else live[0][0] / (length + 1 - len(start))
        length += 1
        if len(finished) == beams:
            # Under 4.15 the best candidate may be the very hypothesis that just finished last: equal by identity, which is no close call.
            itself = (
                rule == "whole" and candidates[0][2] == end and finished[-1][1] == candidates[0][1] + [end]
            )
            margin = margin if itself else min(margin, abs(finished[-1][0] - best))
            if finished[-1][0] >= best:
                break
    else:
        # 4.15 adds every open beam; 5 only those among the best candidates.
        for value, row in (
            live if rule == "whole" else [(v, r + [t]) for v, r, t in candidates[:beams] if t != end]
        ):
            keep(value / (max_length if rule == "whole" else max_length - len(start)), row)
    if len(finished) > 1:
        margin = min(margin, finished[0][0] - finished[1][0])
    return finished[0][1], margin


@torch.inference_mode()
def greedy_margin(model, image_states, ids, start, min_length=0):
    """The smallest lead of a chosen token over the runner-up along a greedy path."""
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
    """Weights that make every part matter: lively attention, LayerNorms off 1 and 0, outputs that follow the image.

    Patch, class and position embeddings are small, so the first LayerNorm sees a variance near 1e-4, where an
    epsilon of 1e-5 instead of 1e-6 shows.
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
    """The state dict as transformers 4 wrote it to a .bin: every name, with `position_ids`, tied tensors sharing storage."""
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
    """The same tensors under the original's names; sharing of storage is kept."""
    renamed = {}
    for name, tensor in state.items():
        for pattern, new in ORIGINAL_NAMES:
            name = re.sub(pattern, new, name)
        assert not name.startswith("vision_model"), name
        renamed[name] = tensor
    return renamed


def with_training_leftovers(state, queue=8, seed=7, momentum=lambda name: True):
    """What a retrieval checkpoint also holds, and a loader must drop."""
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
    """vocab.txt, tokenizer.json and tokenizer_config.json of an uncased WordPiece tokenizer; ids follow the list."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    folder = pathlib.Path(folder)
    index = {word: i for i, word in enumerate(vocab)}
    assert len(index) == len(vocab), "a word stands twice in the vocabulary"
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
