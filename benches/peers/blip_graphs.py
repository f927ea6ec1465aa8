"""BLIP as three graphs without cache objects, for compilers: image, decoder and matcher.

The graphs hold the modules and weights of transformers' models. They differ from transformers' own forward as
follows; no difference changes a result beyond rounding:

- Attention is `scaled_dot_product_attention`. Query, key and value of one input are one product.
- Keys and values of the image states are outputs of the image graph, so each is computed once per image.
- Both texts of an image share these keys and values: their queries follow each other in one attention.
- The decoder computes logits of the last position only, and its past is a list of tensors.
"""

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


def fused(*linears):
    """Join linear layers of one input into one layer."""
    joined = nn.Linear(linears[0].in_features, sum(one.out_features for one in linears))
    joined.weight = nn.Parameter(torch.cat([one.weight for one in linears]), requires_grad=False)
    joined.bias = nn.Parameter(torch.cat([one.bias for one in linears]), requires_grad=False)
    return joined


def split(xs, heads):  # (batch, tokens, width) -> (batch, heads, tokens, width / heads)
    return xs.reshape(xs.shape[0], xs.shape[1], heads, xs.shape[2] // heads).transpose(1, 2)


def attend(q, k, v, mask=None):  # (batch, heads, tokens, width / heads) -> (batch, tokens, width)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


class Image(nn.Module):
    """Pixels to the cross-attention keys and values of each text layer: k0, v0, k1, v1, and so on."""

    def __init__(self, vision, bert):
        super().__init__()
        self.vision, self.heads = vision, bert.config.num_attention_heads
        own = [layer.crossattention.self for layer in bert.encoder.layer]
        self.projections = nn.ModuleList(part for one in own for part in (one.key, one.value))

    def attention(self, block, xs):
        batch, tokens, width = xs.shape
        heads = block.num_heads
        joint = block.qkv(xs).reshape(batch, tokens, 3, heads, width // heads)
        q, k, v = joint.permute(2, 0, 3, 1, 4).unbind(0)
        return block.projection(attend(q, k, v))

    def forward(self, pixels):
        xs = self.vision.embeddings(pixels)
        for layer in self.vision.encoder.layers:
            xs = xs + self.attention(layer.self_attn, layer.layer_norm1(xs))
            xs = xs + layer.mlp(layer.layer_norm2(xs))
        states = self.vision.post_layernorm(xs)
        return tuple(split(project(states), self.heads) for project in self.projections)


class Text(nn.Module):
    """Sub-layers that decoder and matcher share."""

    def __init__(self, bert):
        super().__init__()
        self.embeddings, self.layers = bert.embeddings, bert.encoder.layer
        self.heads, self.width = bert.config.num_attention_heads, bert.config.hidden_size
        own = [layer.attention.self for layer in self.layers]
        self.qkv = nn.ModuleList(fused(one.query, one.key, one.value) for one in own)

    def embed(self, ids, positions):
        embeddings = self.embeddings
        both = embeddings.word_embeddings(ids) + embeddings.position_embeddings(positions)
        return embeddings.LayerNorm(both)

    def queries(self, number, xs):
        return (split(part, self.heads) for part in self.qkv[number](xs).split(self.width, dim=-1))


class Decoder(Text):
    """Logits of the last position, and the past extended by the given ids.

    Mask: (1, 1, ids, past + ids), additive. `rows` selects rows of the past; OpenVINO's kernel for a cache
    requires this selection. `tensors` is the past (k0, v0, ...), then the image's keys and values.
    """

    def __init__(self, model):
        super().__init__(model.text_decoder.bert)
        self.head = model.text_decoder.cls

    def forward(self, ids, positions, mask, rows, *tensors):
        count = 2 * len(self.layers)
        past, image, present = tensors[:count], tensors[count:], []
        xs = self.embed(ids, positions)
        for number, layer in enumerate(self.layers):
            q, k, v = self.queries(number, xs)
            k = torch.cat([past[2 * number].index_select(0, rows), k], 2)
            v = torch.cat([past[2 * number + 1].index_select(0, rows), v], 2)
            present += [k, v]
            xs = layer.attention.output(attend(q, k, v, mask), xs)
            q = split(layer.crossattention.self.query(xs), self.heads)
            seen = attend(q, image[2 * number], image[2 * number + 1])
            xs = layer.feed_forward_chunk(layer.crossattention.output(seen, xs))
        return (self.head(xs[:, -1]), *present)


class Matcher(Text):
    """ITM logits of texts of each image: ids and visible (1 or 0) are (images, texts, tokens)."""

    def __init__(self, model):
        super().__init__(model.text_encoder)
        self.itm_head = model.itm_head

    def forward(self, ids, visible, *image):
        images, texts, tokens = ids.shape
        mask = (1.0 - visible.reshape(images * texts, 1, 1, tokens)) * -10000.0
        xs = self.embed(ids.reshape(images * texts, tokens), torch.arange(tokens)[None])
        for number, layer in enumerate(self.layers):
            xs = layer.attention.output(attend(*self.queries(number, xs), mask), xs)
            q = layer.crossattention.self.query(xs).reshape(images, texts * tokens, self.width)
            seen = attend(split(q, self.heads), image[2 * number], image[2 * number + 1])
            seen = seen.reshape(images * texts, tokens, self.width)
            xs = layer.feed_forward_chunk(layer.crossattention.output(seen, xs))
        return self.itm_head(xs[:, 0]).reshape(images, texts, 2)
