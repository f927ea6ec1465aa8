#!/usr/bin/env python3
"""CapFilt as a script over transformers: the peer of capfilt's speed measurements. Prints one JSON line.

usage: capfilt_transformers.py --captioner DIR --filter DIR --images DIR|N [--mode naive|best]
       [--dtype f32|bf16|f16] [--batch N] …

Per image: a nucleus caption (p 0.9, k 50, repetition 1.1, 5 to 20 ids, prompt "a picture of "), then P(match)
of a web text and of the caption. `naive` follows the model cards: three calls, and each encodes the image.
`best` is the fastest form without changes to the model: each model encodes an image once, both texts use the
same image states, images are batched by the length of their web text, in `inference_mode`; with `--sdpa` the
image encoder uses torch's fused attention, which transformers' BLIP does not use. The time is that of the
models on decoded pixels; decode_pillow.py measures decoding and resizing. The first batch is run once before
the clock starts. scripts/blip_models.py makes the models; other models may be used.
"""

import argparse
import json
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

    def side(self):
        return self.captioner.config.vision_config.image_size

    def read(self, rows):
        """Convert new ids to texts without the prompt."""
        self.tokens += sum(sum(i != 0 for i in row[len(self.start) :]) for row in rows)
        return [blip.decode(self.caption_tokenizer, row[len(self.start) :]) for row in rows]

    def tokenised(self, texts):
        tokens = blip.encode(self.tokenizer, [blip.pre_caption(t) for t in texts]).to(self.device)
        return blip.with_enc(tokens.input_ids, self.filter), tokens.attention_mask

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


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--captioner", required=True)
    p.add_argument("--filter", required=True)
    p.add_argument("--images", required=True, help="a folder of pictures, or how many to make up")
    p.add_argument(
        "--texts",
        help="file with one web text per line: one row per text; images are reused if there are fewer",
    )
    p.add_argument("--mode", choices=["naive", "best"], default="best")
    p.add_argument("--dtype", choices=list(DTYPES), default="f32")
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--device", default="auto")
    p.add_argument("--sdpa", action="store_true")
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument(
        "--min-length",
        type=int,
        default=NUCLEUS["min_length"],
        help="ids of the shortest caption; 20 makes all equally long",
    )
    args = p.parse_args()
    NUCLEUS["min_length"] = args.min_length
    torch.set_num_threads(args.threads)
    if args.sdpa:
        modeling_blip.BlipAttention.forward = fused_attention
    peer = Peer(args)
    images = load_images(args.images, peer.side())
    began = time.perf_counter()
    pixels = blip.pixels(images, peer.side()).to(peer.device, peer.dtype)
    preprocess = time.perf_counter() - began
    # Batches of texts with similar lengths need the least padding.
    web = web_texts(args.texts, len(images))
    pixels = pixels[torch.arange(len(web)) % len(images)]
    if args.mode == "best":
        web.sort(key=len)
    run = getattr(peer, args.mode)
    torch.manual_seed(args.seed)
    run(pixels[: args.batch], web[: args.batch])
    repeats, stages, new_tokens = [], [], []
    for _ in range(args.repeats):
        peer.stages.seconds = dict.fromkeys(peer.stages.seconds, 0.0)
        peer.tokens = 0
        torch.manual_seed(args.seed)
        began = peer.stages.now()
        for at in range(0, len(web), args.batch):
            run(pixels[at : at + args.batch], web[at : at + args.batch])
        repeats.append((peer.stages.now() - began) / len(web))
        stages.append({k: v / len(web) for k, v in peer.stages.seconds.items()})
        new_tokens.append(peer.tokens / len(web))
    print(
        json.dumps(
            {
                "peer": "transformers",
                "mode": args.mode,
                "dtype": args.dtype,
                "sdpa": args.sdpa,
                "batch": args.batch,
                "threads": args.threads,
                "images": len(web),
                "s_per_image": round(statistics.median(repeats), 5),
                "repeats": [round(r, 5) for r in repeats],
                "stages_s_per_image": {
                    k: round(statistics.median(s[k] for s in stages), 5) for k in stages[0]
                },
                "preprocess_s_per_image": round(preprocess / len(images), 5),
                "new_tokens_per_caption": round(statistics.median(new_tokens), 2),
                "device": torch.cuda.get_device_name()
                if peer.device.type == "cuda"
                else platform.processor() or platform.machine(),
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            }
        )
    )


main()
