#!/usr/bin/env python3
"""CapFilt over OpenVINO on a CPU: a peer of capfilt's speed measurements. Prints one JSON line.

usage: capfilt_openvino.py --captioner DIR --filter DIR --images DIR|N [--dtype f32|bf16|int8] [--batch N] …
       capfilt_openvino.py … --check

The work, the options and the line are those of capfilt_transformers.py in mode `best`. The models are the
graphs of blip_graphs.py, converted from transformers' models: both image encoders with the keys and values of
the cross-attention, the decoder with its cache as OpenVINO state, the text encoder with image keys and values
that both texts share. Sampling is numpy's. The stage `vit` includes the keys and values of the image states.

`bf16` is OpenVINO's INFERENCE_PRECISION_HINT, with keys, values and cache in bf16. `int8` is NNCF's
post-training quantisation (preset of transformers, calibrated with some of the given pictures and texts):
weights and activations of both image encoders and the text encoder, weights alone of the decoder. What is not
quantised has bf16. On tests/data/models the quantised image encoders change logits of words by up to 0.49,
the decoder's weights by up to 0.04; quantised activations of the decoder were not tried. A processor
without AVX512-BF16 or AMX does not run bf16: OpenVINO falls back to f32 (`runs` in the line has the precision
in use).

Converted and quantised graphs are kept in out/bench/openvino (IR), one folder per pair of models.
All rows are run once before the clock starts, so that each shape is compiled.

`--check` compares with transformers in f32: logits for given ids, P(match), the ids of a greedy caption, and
the probabilities that a word is drawn from. It prints the largest differences; in f32 it fails beyond 1e-3
(logits of words and of ITM), 1e-4 (P(match)), 1e-6 (probabilities), or with other ids. Other precisions print
only.
"""

import hashlib
import json
import os
import pathlib
import platform
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
sys.modules["openvino_telemetry"] = None  # before the imports: OpenVINO and NNCF then send no usage data
import blip_graphs as graphs
import blip_reference as blip
import numpy as np
import openvino as ov
import torch
from capfilt_transformers import NUCLEUS, Stages, arguments, inputs, measure, web_texts
from nucleus import Chooser
from openvino import opset13 as ops
from openvino._offline_transformations import apply_make_stateful_transformation
from transformers import BlipConfig

CACHE = pathlib.Path(__file__).resolve().parents[2] / "out/bench/openvino"
CALIBRATION = 16  # images; each has a caption and a web text
NAMES = ("captioner_image", "decoder", "filter_image", "matcher")


# ---------------------------------------------------------------- conversion


def converted(module, example, names, shapes):
    """Trace a graph; `shapes` are those of its inputs, -1 where a length varies."""
    with torch.no_grad():
        traced = torch.jit.trace(module.eval(), example, strict=False, check_trace=False)
    model = ov.convert_model(traced, example_input=example)
    for port, name in zip(model.inputs, names):
        port.get_tensor().set_names({name})
    model.reshape(dict(zip(names, map(ov.PartialShape, shapes))))
    return model


def image_graph(model, bert):
    side = model.config.vision_config.image_size
    pixels = torch.zeros(2, 3, side, side)
    return converted(graphs.Image(model.vision_model, bert), (pixels,), ["pixels"], [[-1, 3, side, side]])


def sizes(model):
    """Return layers, heads, width of a head, and tokens of an image."""
    text, vision = model.config.text_config, model.config.vision_config
    tokens = 1 + (vision.image_size // vision.patch_size) ** 2
    heads = text.num_attention_heads
    return text.num_hidden_layers, heads, text.hidden_size // heads, tokens


def image_inputs(model):
    layers, heads, width, tokens = sizes(model)
    names = [f"image_{part}{layer}" for layer in range(layers) for part in "kv"]
    shapes, example = [[-1, heads, tokens, width]], [torch.rand(2, heads, tokens, width)]
    return names, shapes * len(names), example * len(names)


def decoder_graph(model):
    """Convert the decoder; its past is still an input and an output."""
    layers, heads, width, _ = sizes(model)
    names, shapes, image = image_inputs(model)
    past = [f"past_{part}{layer}" for layer in range(layers) for part in "kv"]
    ids, mask = torch.ones(2, 3, dtype=torch.long), torch.zeros(1, 1, 3, 8)
    own = ids, torch.arange(5, 8)[None], mask, torch.arange(2)
    example = (*own, *[torch.rand(2, heads, 5, width)] * len(past), *image)
    model = converted(
        graphs.Decoder(model),
        example,
        ["ids", "positions", "mask", "rows", *past, *names],
        [[-1, -1], [1, -1], [1, 1, -1, -1], [-1], *[[-1, heads, -1, width]] * len(past), *shapes],
    )
    for port, name in zip(model.outputs[1:], past):
        port.get_tensor().set_names({f"present_{name}"})
    return model


def stateful(model):
    """Make the past a state that begins empty, with as many rows as the ids."""
    past = [name for port in model.inputs for name in port.get_names() if name.startswith("past_")]
    apply_make_stateful_transformation(model, {name: f"present_{name}" for name in past})
    zero, batch = ops.constant(np.int64(0)), ops.constant(np.array([0], np.int64))
    rows = ops.gather(ops.shape_of(model.input("ids"), output_type="i64"), batch, zero)
    for node in model.get_ops():
        if node.get_type_name() == "ReadValue":
            _, heads, _, width = node.get_output_partial_shape(0)
            rest = ops.constant(np.array([heads.get_length(), 0, width.get_length()], np.int64))
            empty = ops.constant(0.0, dtype=node.get_output_element_type(0))
            node.set_arguments([ops.broadcast(empty, ops.concat([rows, rest], axis=0))])
    model.validate_nodes_and_infer_types()
    return model


def matcher_graph(model):
    names, shapes, image = image_inputs(model)
    ids = torch.ones(2, 2, 5, dtype=torch.long)
    names, shapes = ["ids", "visible", *names], [[-1, 2, -1]] * 2 + shapes
    return converted(graphs.Matcher(model), (ids, ids.float(), *image), names, shapes)


def convert(name, captioner, filter):
    if name == "captioner_image":
        return image_graph(captioner, captioner.text_decoder.bert)
    if name == "filter_image":
        return image_graph(filter, filter.text_encoder)
    return decoder_graph(captioner) if name == "decoder" else matcher_graph(filter)


def folder_of(args):
    """Return the folder of the graphs, named by the models' files."""
    digest = hashlib.sha256()
    for model in (args.captioner, args.filter):
        for file in sorted(pathlib.Path(model).resolve().iterdir()):
            digest.update(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    return CACHE / digest.hexdigest()[:12]


def save(model, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{os.getpid()}-{path.name}")
    ov.save_model(model, fresh, compress_to_fp16=False)
    fresh.with_suffix(".bin").rename(path.with_suffix(".bin"))
    fresh.rename(path)  # last: a graph with an .xml is complete


def stored(args, core):
    """Return the four graphs; convert those that are missing."""
    folder, kind = folder_of(args), "int8" if args.dtype == "int8" else "f32"
    paths = {name: folder / f"{name}-f32.xml" for name in NAMES}
    if not all(path.exists() for path in paths.values()):
        captioner, filter = blip.load_captioner(args.captioner), blip.load_filter(args.filter)
        for name, path in paths.items():
            save(convert(name, captioner, filter), path)
    if kind == "int8":
        quantised = {name: folder / f"{name}-int8.xml" for name in NAMES}
        if not all(path.exists() for path in quantised.values()):
            quantise(args, core, paths, quantised)
        paths = quantised
    return {name: core.read_model(path) for name, path in paths.items()}


def quantise(args, core, paths, targets):
    """Quantise the graphs: weights and activations, of the decoder the weights alone."""
    import nncf

    filter = blip.load_filter(args.filter)
    pixels = inputs(args, filter.config.vision_config.image_size)[0][:CALIBRATION].numpy()
    texts, names = calibration_texts(args, filter), image_inputs(filter)[0]
    image = core.compile_model(paths["filter_image"], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def seen(number):
        return {"pixels": pixels[number][None]}

    def matched(number):
        outputs, (ids, visible) = image(seen(number)), texts[number % len(texts)]
        states = {name: outputs[i].copy() for i, name in enumerate(names)}
        return {"ids": ids, "visible": visible, **states}

    for name, target in targets.items():
        model = core.read_model(paths[name])
        if name == "decoder":
            model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
        else:
            data = nncf.Dataset(range(len(pixels)), matched if name == "matcher" else seen)
            kind = nncf.ModelType.TRANSFORMER
            model = nncf.quantize(model, data, model_type=kind, subset_size=len(pixels))
        save(model, target)


def calibration_texts(args, filter):
    """Return ids and mask of two web texts at a time."""
    tokenizer = blip.load_tokenizer(args.filter)
    web = [blip.pre_caption(text) for text in web_texts(args.texts, 2 * CALIBRATION)]
    found = []
    for at in range(0, len(web) - 1, 2):
        tokens = blip.encode(tokenizer, web[at : at + 2])
        ids = blip.with_enc(tokens.input_ids, filter)
        found.append((ids.numpy()[None], tokens.attention_mask.float().numpy()[None]))
    return found


# ---------------------------------------------------------------- execution


class Graphs:
    """The compiled graphs, one of each for each size of a batch; `end` is the id that ends a caption."""

    def __init__(self, args, end):
        self.core = ov.Core()
        reduced = args.dtype != "f32" and "BF16" in self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.runs = ("int8 and " if args.dtype == "int8" else "") + ("bf16" if reduced else "f32")
        self.kept = ov.Type.bf16 if reduced else ov.Type.f32  # keys and values of images
        self.options = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": args.threads,
            "ENABLE_HYPER_THREADING": True,
            "INFERENCE_PRECISION_HINT": "bf16" if reduced else "f32",
            "KV_CACHE_PRECISION": "bf16" if reduced else "f32",
        }
        self.models = stored(args, self.core)
        self.models["decoder"] = stateful(self.models["decoder"])
        self.requests, self.end = {}, end

    def compiled(self, name, batch):
        model = self.models[name].clone()
        ppp = ov.preprocess.PrePostProcessor(model)
        if name.endswith("image"):
            model.reshape({"pixels": [batch, *list(model.input("pixels").partial_shape)[1:]]})
            for number in range(len(model.outputs)):
                ppp.output(number).tensor().set_element_type(self.kept)
        else:
            for port in model.inputs:
                if port.get_any_name().startswith("image_"):
                    ppp.input(port.get_any_name()).tensor().set_element_type(self.kept)
        return self.core.compile_model(ppp.build(), "CPU", self.options)

    def request(self, name, batch):
        if (name, batch) not in self.requests:
            self.requests[name, batch] = self.compiled(name, batch).create_infer_request()
        return self.requests[name, batch]

    def image(self, name, pixels):
        """Return keys and values of the image states; the next call overwrites them."""
        request = self.request(name, len(pixels))
        request.infer({"pixels": pixels}, share_inputs=True)
        return [request.get_output_tensor(i) for i in range(len(request.model_outputs))]

    def with_image(self, name, image):
        request = self.request(name, image[0].shape[0])
        for number, tensor in enumerate(image):
            request.set_tensor(f"image_{'kv'[number % 2]}{number // 2}", tensor)
        return request

    def decode(self, image, ids, choose, length):
        """Extend rows of ids by what `choose` returns for the ids and the logits of the next one.

        The loop ends at `length` ids or when each row has ended.
        """
        request, fresh = self.with_image("decoder", image), ids
        request.reset_state()
        while True:
            past, new = ids.shape[1] - fresh.shape[1], fresh.shape[1]
            own = {
                "ids": fresh,
                "positions": np.arange(past, past + new)[None],
                "mask": np.triu(np.full((1, 1, new, past + new), -10000.0, np.float32), past + 1),
                "rows": np.arange(len(ids)),
            }
            request.infer(own, share_inputs=True)
            fresh = choose(ids, request.get_output_tensor(0).data)[:, None]
            ids = np.concatenate([ids, fresh], 1)
            if ids.shape[1] == length or (ids == self.end).any(1).all():
                return ids

    def match(self, image, ids, visible):
        """Return logits (images, texts, 2) of ids (images, texts, tokens); index 1 is "match"."""
        request = self.with_image("matcher", image)
        request.infer({"ids": ids, "visible": visible}, share_inputs=True)
        return request.get_output_tensor(0).data


# ---------------------------------------------------------------- CapFilt


class Peer:
    def __init__(self, args):
        self.config = BlipConfig.from_pretrained(args.captioner)
        self.vocabulary = BlipConfig.from_pretrained(args.filter).text_config.vocab_size
        text = self.config.text_config
        self.graphs = Graphs(args, text.sep_token_id)
        self.tokenizer, self.caption_tokenizer = map(blip.load_tokenizer, (args.filter, args.captioner))
        self.start = blip.prompt_ids(self.caption_tokenizer, self.config)
        self.stages, self.tokens = Stages(torch.device("cpu")), 0
        self.seed(args.seed)

    def side(self):
        return self.config.vision_config.image_size

    def seed(self, seed):
        self.chooser = Chooser(self.config.text_config, np.random.default_rng(seed))

    def tokenised(self, texts):
        """Return ids and mask (images, texts, tokens) of lists of texts."""
        tokens = blip.encode(self.tokenizer, [blip.pre_caption(one) for each in texts for one in each])
        ids = tokens.input_ids.numpy().copy()
        ids[:, 0] = self.vocabulary - 1  # [ENC]
        shape = (len(texts), len(texts[0]), -1)
        return ids.reshape(shape), tokens.attention_mask.numpy().astype(np.float32).reshape(shape)

    def caption(self, image, count):
        start = np.array([self.start] * count)
        ids = self.graphs.decode(image, start, self.chooser, NUCLEUS["max_length"])
        new = ids[:, len(self.start) :].tolist()
        self.tokens += sum(sum(i != 0 for i in row) for row in new)
        return [blip.decode(self.caption_tokenizer, row) for row in new]

    def run(self, pixels, web):
        run, graphs = self.stages.run, self.graphs
        image = run("vit", lambda: graphs.image("captioner_image", pixels.numpy()))
        synthetic = run("caption", lambda: self.caption(image, len(pixels)))
        image = run("vit", lambda: graphs.image("filter_image", pixels.numpy()))
        pairs = list(zip(web, synthetic))
        logits = run("itm", lambda: graphs.match(image, *self.tokenised(pairs)))
        scores = 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))
        return synthetic, scores[:, 0].tolist(), scores[:, 1].tolist()


def main():
    p = arguments(__doc__, ["f32", "bf16", "int8"])
    p.add_argument("--check", action="store_true", help="compare with transformers instead of measuring")
    args = p.parse_args()
    NUCLEUS["min_length"] = args.min_length
    torch.set_num_threads(args.threads)
    peer = Peer(args)
    pixels, web, preprocess = inputs(args, peer.side())
    if args.check:
        import openvino_check

        sys.exit(openvino_check.check(peer, args, pixels, web))
    measured = measure(peer, peer.run, args, pixels, web, warm_up=len(web))
    about = {"peer": "openvino", "dtype": args.dtype, "runs": peer.graphs.runs, "batch": args.batch}
    versions = {"device": platform.processor() or platform.machine(), "openvino": ov.__version__}
    preprocess = {"preprocess_s_per_image": preprocess}
    print(json.dumps(about | {"threads": args.threads} | measured | preprocess | versions))


if __name__ == "__main__":
    main()
