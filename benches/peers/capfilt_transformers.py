#!/usr/bin/env python3
"""CapFilt as a script over transformers: the peer of capfilt's speed measurements. Prints one JSON line.

usage: capfilt_transformers.py --captioner DIR --filter DIR --images DIR|N [--mode naive|best|compiled]
       [--dtype f32|bf16|f16] [--batch N] …

Per image: a nucleus caption (p 0.9, k 50, repetition 1.1, 5 to 20 ids, prompt "a picture of "), then P(match)
of a web text and of the caption. `naive` follows the model cards: three calls, and each encodes the image.
`best` is the fastest form without changes to the model: each model encodes an image once, both texts use the
same image states, images are batched by the length of their web text, in `inference_mode`; with `--sdpa` the
image encoder uses torch's fused attention, which transformers' BLIP does not use. `compiled` is `best` with
all models through torch.compile (below). The time is that of the models on decoded pixels; decode_pillow.py
measures decoding and resizing. The first batch is run once before the clock starts. scripts/blip_models.py
makes the models; other models may be used.

`compiled`: inductor with frozen weights (without `freezing` inductor has no prepacked products on a CPU) and
mode max-autotune-no-cudagraphs.

- Image encoders: compiled whole, one graph per size of a batch.
- Text encoder: compiled whole; its texts are padded to a multiple of 8 tokens, so that few lengths have a
  graph.
- Decoder: `generate` with transformers' EncoderDecoderCache of a StaticCache for the words and a DynamicCache
  for the image. It has two graphs, the prompt and the step. `generate(cache_implementation="static")` fails:
  BLIP's text model is not an encoder-decoder in its config, so `generate` makes one StaticCache of 19 places,
  and the cross-attention writes the image's keys into it ("index_copy_(): index 19 is out of bounds").
- Sampling and the loop of `generate` stay in Python.
- All rows are run once before the clock starts, so that each graph is compiled. Compiled code is kept in
  out/bench/inductor.
"""

import argparse
import json
import os
import pathlib
import platform
import random
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import blip_reference as blip
import torch
import transformers
from PIL import Image
from transformers.cache_utils import DynamicCache, EncoderDecoderCache, StaticCache
from transformers.models.blip import modeling_blip

NUCLEUS = dict(do_sample=True, top_p=0.9, top_k=50, repetition_penalty=1.1, min_length=5, max_length=20)
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
WORDS = "a the of in on and with two small red green woman man dog cat cup photo table box near".split()


class Stages:
    """Seconds per stage.

    Other calls include the image encoder, so hooks subtract its share from their time.
    """

    def __init__(self, device):
        self.cuda = device.type == "cuda"
        self.seconds = {"vit": 0.0, "caption": 0.0, "itm": 0.0}

    def now(self):
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def watch(self, model):
        began = []
        model.vision_model.register_forward_pre_hook(lambda *_: began.append(self.now()))
        model.vision_model.register_forward_hook(lambda *_: self.add("vit", began.pop()))

    def add(self, name, since, vit_before=None):
        spent = self.now() - since
        self.seconds[name] += spent - (self.seconds["vit"] - vit_before if vit_before is not None else 0.0)

    def run(self, name, call):
        since, vit = self.now(), self.seconds["vit"]
        result = call()
        self.add(name, since, vit)
        return result


def fused_attention(self, hidden_states, **_):
    batch, tokens, width = hidden_states.shape
    q, k, v = (
        self.qkv(hidden_states)
        .reshape(batch, tokens, 3, self.num_heads, width // self.num_heads)
        .permute(2, 0, 3, 1, 4)
    )
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    return self.projection(out.transpose(1, 2).reshape(batch, tokens, width)), None


class Peer:
    def __init__(self, args):
        self.device = torch.device(
            args.device if args.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        )
        dtype = DTYPES[args.dtype]
        self.captioner = blip.load_captioner(args.captioner, dtype).to(self.device)
        self.filter = blip.load_filter(args.filter, dtype).to(self.device)
        self.dtype, self.tokenizer = dtype, blip.load_tokenizer(args.filter)
        self.caption_tokenizer = blip.load_tokenizer(args.captioner)
        self.start = blip.prompt_ids(self.caption_tokenizer, self.captioner.config)
        self.stages = Stages(self.device)
        self.stages.watch(self.captioner)
        self.stages.watch(self.filter)
        self.tokens = 0
        self.cache, self.multiple = dict, 1  # of the decoder; of the text encoder's tokens

    def compile(self):
        """Compile the models. The other modes do not call this method."""
        import torch._inductor.config as inductor

        root = pathlib.Path(__file__).resolve().parents[2]
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(root / "out/bench/inductor"))
        inductor.freezing = True
        # The models share the code of transformers' wrappers, and dynamo counts graphs per code.
        torch._dynamo.config.recompile_limit = 64
        for module in (
            self.captioner.vision_model,
            self.captioner.text_decoder,
            self.filter.vision_model,
            self.filter.text_encoder,
        ):
            module.forward = torch.compile(module.forward, dynamic=False, mode="max-autotune-no-cudagraphs")
        text = self.captioner.config.text_config
        self.multiple = 8

        def cache():
            own = StaticCache(config=text, max_cache_len=NUCLEUS["max_length"])
            return {"past_key_values": EncoderDecoderCache(own, DynamicCache(config=text))}

        self.cache = cache

    def seed(self, seed):
        torch.manual_seed(seed)

    def side(self):
        return self.captioner.config.vision_config.image_size

    def read(self, rows):
        """Convert new ids to texts without the prompt."""
        self.tokens += sum(sum(i != 0 for i in row[len(self.start) :]) for row in rows)
        return [blip.decode(self.caption_tokenizer, row[len(self.start) :]) for row in rows]

    def tokenised(self, texts):
        tokens = blip.encode(self.tokenizer, [blip.pre_caption(t) for t in texts]).to(self.device)
        ids, mask = blip.with_enc(tokens.input_ids, self.filter), tokens.attention_mask
        more = (0, -ids.shape[1] % self.multiple)
        return torch.nn.functional.pad(ids, more), torch.nn.functional.pad(mask, more)

    # naive: complete models, called as in their model cards
    @torch.no_grad()
    def naive(self, pixels, web):
        def caption():
            # `generate` of the complete model drops the last id, so the prompt is passed with its [SEP].
            ids = torch.tensor(
                [self.start + [self.captioner.config.text_config.sep_token_id]] * len(pixels),
                device=self.device,
            )
            return self.read(
                self.captioner.generate(
                    pixel_values=pixels, input_ids=ids, attention_mask=torch.ones_like(ids), **NUCLEUS
                ).tolist()
            )

        def match(texts):
            ids, mask = self.tokenised(texts)
            return (
                self.filter(pixel_values=pixels, input_ids=ids, attention_mask=mask)
                .itm_score.float()
                .softmax(-1)[:, 1]
                .tolist()
            )

        synthetic = self.stages.run("caption", caption)
        return (
            synthetic,
            self.stages.run("itm", lambda: match(web)),
            self.stages.run("itm", lambda: match(synthetic)),
        )

    # best: each image encoder once per image
    @torch.inference_mode()
    def best(self, pixels, web):
        text = self.captioner.config.text_config
        states = self.captioner.vision_model(pixel_values=pixels).last_hidden_state
        atts = torch.ones(states.shape[:-1], dtype=torch.long, device=self.device)
        start = torch.tensor([self.start] * len(pixels), device=self.device)

        def caption():
            return self.captioner.text_decoder.generate(
                input_ids=start,
                attention_mask=torch.ones_like(start),
                encoder_hidden_states=states,
                encoder_attention_mask=atts,
                eos_token_id=text.sep_token_id,
                pad_token_id=text.pad_token_id,
                **self.cache(),
                **NUCLEUS,
            )

        synthetic = self.read(self.stages.run("caption", caption).tolist())
        judged = self.filter.vision_model(pixel_values=pixels).last_hidden_state

        def match():
            ids, mask = self.tokenised(web + synthetic)
            both = judged.repeat(2, 1, 1)
            return blip.match_logits(self.filter, both, ids, mask).float().softmax(-1)[:, 1].tolist()

        scores = self.stages.run("itm", match)
        return synthetic, scores[: len(web)], scores[len(web) :]

    compiled = best


def load_images(where, side):
    """Return the pixels of a folder's files, or of N generated pictures."""
    if where.isdigit():
        g = torch.Generator().manual_seed(0)
        noise = torch.rand(int(where), 3, 12, 12, generator=g)
        smooth = torch.nn.functional.interpolate(noise, size=(side, side), mode="bilinear")
        return [Image.fromarray((p.permute(1, 2, 0) * 255).byte().numpy()) for p in smooth]
    return [
        Image.open(p).convert("RGB")
        for p in sorted(pathlib.Path(where).iterdir())
        if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")
    ]


def web_texts(file, count):
    """Return the texts of the file, one per line; without a file, generated texts."""
    if file:
        return [line for line in pathlib.Path(file).read_text().splitlines() if line.strip()]
    rng = random.Random(0)
    return [" ".join(rng.choices(WORDS, k=rng.randint(4, 18))) for _ in range(count)]


def arguments(doc, dtypes):
    """Return the parser of the options that all peers have."""
    p = argparse.ArgumentParser(description=doc.splitlines()[0])
    p.add_argument("--captioner", required=True)
    p.add_argument("--filter", required=True)
    p.add_argument("--images", required=True, help="a folder of pictures, or how many to make up")
    p.add_argument(
        "--texts",
        help="file with one web text per line: one row per text; images are reused if there are fewer",
    )
    p.add_argument("--dtype", choices=dtypes, default="f32")
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument(
        "--min-length",
        type=int,
        default=NUCLEUS["min_length"],
        help="ids of the shortest caption; 20 makes all equally long",
    )
    return p


def inputs(args, side, by_length=True):
    """Return pixels and web texts, and the seconds per picture that the pixels took."""
    images = load_images(args.images, side)
    began = time.perf_counter()
    pixels = blip.pixels(images, side)
    preprocess = time.perf_counter() - began
    web = web_texts(args.texts, len(images))
    pixels = pixels[torch.arange(len(web)) % len(images)]
    if by_length:  # Batches of texts with similar lengths need the least padding.
        web.sort(key=len)
    return pixels, web, round(preprocess / len(images), 5)


def measure(peer, run, args, pixels, web, warm_up):
    """Return times and lengths of `args.repeats` passes over all rows, after `warm_up` rows."""
    peer.seed(args.seed)
    for at in range(0, warm_up, args.batch):
        run(pixels[at : at + args.batch], web[at : at + args.batch])
    repeats, stages, new_tokens = [], [], []
    for _ in range(args.repeats):
        peer.stages.seconds = dict.fromkeys(peer.stages.seconds, 0.0)
        peer.tokens = 0
        peer.seed(args.seed)
        began = peer.stages.now()
        for at in range(0, len(web), args.batch):
            run(pixels[at : at + args.batch], web[at : at + args.batch])
        repeats.append((peer.stages.now() - began) / len(web))
        stages.append({k: v / len(web) for k, v in peer.stages.seconds.items()})
        new_tokens.append(peer.tokens / len(web))
    return {
        "images": len(web),
        "s_per_image": round(statistics.median(repeats), 5),
        "repeats": [round(r, 5) for r in repeats],
        "stages_s_per_image": {k: round(statistics.median(s[k] for s in stages), 5) for k in stages[0]},
        "new_tokens_per_caption": round(statistics.median(new_tokens), 2),
    }


def main():
    p = arguments(__doc__, list(DTYPES))
    p.add_argument("--mode", choices=["naive", "best", "compiled"], default="best")
    p.add_argument("--device", default="auto")
    p.add_argument("--sdpa", action="store_true")
    args = p.parse_args()
    NUCLEUS["min_length"] = args.min_length
    torch.set_num_threads(args.threads)
    if args.sdpa:
        modeling_blip.BlipAttention.forward = fused_attention
    peer = Peer(args)
    pixels, web, preprocess = inputs(args, peer.side(), by_length=args.mode != "naive")
    pixels = pixels.to(peer.device, peer.dtype)
    if args.mode == "compiled":
        peer.compile()
    warm_up = len(web) if args.mode == "compiled" else args.batch
    measured = measure(peer, getattr(peer, args.mode), args, pixels, web, warm_up)
    about = {"peer": "transformers", "mode": args.mode, "dtype": args.dtype, "sdpa": args.sdpa}
    about |= {"batch": args.batch, "threads": args.threads}
    processor = platform.processor() or platform.machine()
    device = torch.cuda.get_device_name() if peer.device.type == "cuda" else processor
    versions = {"device": device, "torch": torch.__version__, "transformers": transformers.__version__}
    print(json.dumps(about | measured | {"preprocess_s_per_image": preprocess} | versions))


if __name__ == "__main__":
    main()
