"""Choice among the texts of an image."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np

How = typing.Literal["best", "random", "all"]


class Text(typing.NamedTuple):
    """A kept text of an image."""

    text: str
    # Name of the text column, `synthetic`, or `human`; `web` in tables of version 1.
    source: str
    # P(match) by the job's filter, 0 to 1; None if no filter judged the text.
    itm: float | None


@dataclasses.dataclass(frozen=True)
class TextChoice:
    """Rule that chooses the caption of a sample.

    `best`: the text with the highest P(match); a text without a score ranks first, as a person wrote it.
    `random`: one text at random, another in each epoch. `all`: the list of all texts.
    """

    how: How = "best"
    # For `random`: weight of each source. Sources without an entry have weight 0, unless no source of an
    # image has a weight. None: every text has the same weight.
    sources: typing.Mapping[str, float] | None = None
    # For `random`: texts are weighted with P(match).
    by_score: bool = False

    def __post_init__(self):
        if self.how not in typing.get_args(How):
            raise ValueError(f"text is {self.how!r}, expected one of {', '.join(typing.get_args(How))}")
        if self.sources is not None and any(weight < 0 for weight in self.sources.values()):
            raise ValueError(f"sources is {dict(self.sources)}; a weight is at least 0")

    def choose(self, texts: list[Text], generator: typing.Callable[[], np.random.Generator]):
        """The caption, or the list of captions for `all`; `generator` is called only for `random`."""
        if self.how == "all":
            return [text.text for text in texts]
        if self.how == "best" or len(texts) == 1:
            return max(texts, key=lambda text: 2.0 if text.itm is None else text.itm).text
        weights = self._weights(texts)
        return texts[int(generator().choice(len(texts), p=weights / weights.sum()))].text

    def _weights(self, texts: list[Text]) -> np.ndarray:
        scores = [text.itm if self.by_score and text.itm is not None else 1.0 for text in texts]
        weights = np.asarray(scores, dtype=np.float64)
        if self.sources is not None:
            named = [text.source for text in texts]
            # The weight of a source is shared by its texts, however many an image has.
            of_source = {name: weights[[n == name for n in named]].sum() for name in set(named)}
            shared = [
                self.sources.get(name, 0.0) * weight / of_source[name] if of_source[name] else 0.0
                for name, weight in zip(named, weights, strict=True)
            ]
            if sum(shared) > 0:
                weights = np.asarray(shared)
        return weights if weights.sum() > 0 else np.ones(len(texts))
