"""Nucleus sampling in numpy, with the values of `NUCLEUS`, as transformers does it."""

import numpy as np
from capfilt_transformers import NUCLEUS


def penalised(logits, ids, end, penalty):
    """Apply the penalty to the ids of a row and forbid the end before the least length."""
    scores = logits.astype(np.float32)
    seen = np.take_along_axis(scores, ids, 1)
    np.put_along_axis(scores, ids, np.where(seen < 0, seen * penalty, seen / penalty), 1)
    if ids.shape[1] < NUCLEUS["min_length"]:
        scores[:, end] = -np.inf
    return scores


def probabilities(scores):
    """Return the ids of each row that may be drawn, most probable first, and their probabilities."""
    count = min(NUCLEUS["top_k"], scores.shape[1])
    top = np.argpartition(scores, -count, 1)[:, -count:]
    values = np.take_along_axis(scores, top, 1)
    order = np.argsort(-values, 1)
    top, values = np.take_along_axis(top, order, 1), np.take_along_axis(values, order, 1)
    ps = np.exp(values - values[:, :1])
    ps /= ps.sum(1, keepdims=True)
    ps[ps.cumsum(1) - ps >= NUCLEUS["top_p"]] = 0.0
    return top, ps / ps.sum(1, keepdims=True)


class Chooser:
    """Next ids of the rows: nucleus sampling, or the best id without a generator.

    A row is padded after its end.
    """

    def __init__(self, text_config, random=None):
        self.end, self.pad, self.random = text_config.sep_token_id, text_config.pad_token_id, random

    def __call__(self, ids, logits):
        scores = penalised(logits, ids, self.end, NUCLEUS["repetition_penalty"])
        if self.random is None:
            chosen = scores.argmax(1)
        else:
            top, ps = probabilities(scores)
            drawn = (ps.cumsum(1) < self.random.random((len(ids), 1))).sum(1)
            chosen = top[np.arange(len(ids)), np.minimum(drawn, (ps > 0).sum(1) - 1)]
        return np.where((ids == self.end).any(1), self.pad, chosen)
