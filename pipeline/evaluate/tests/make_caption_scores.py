"""Writes caption_scores.json: BLEU and CIDEr-D, and the words of captions, as COCO's own evaluation has them.

Needs pycocoevalcap 1.2 and, for its tokenizer, Java: python make_caption_scores.py
"""

import json
import pathlib
import random

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

COLLECTIONS = {
    "photographs": [
        (
            "a man riding a wave on top of a surfboard",
            [
                "A man riding a wave on a surfboard in the ocean.",
                "A surfer rides a small wave.",
                "There's a man on a surfboard, and he's riding a wave.",
            ],
        ),
        (
            "a black and white cat sitting on a window sill",
            ["A black-and-white cat is sitting on the window sill.", "The cat looks out of a window."],
        ),
        (
            "two people walking down a street with an umbrella",
            [
                "Two people walk down a wet street under one umbrella.",
                "A couple's umbrella is red.",
                "People that don't mind the rain",
            ],
        ),
        (
            "a plate of food with a fork on it",
            ["A plate of pasta (with sauce) and a fork.", "Dinner is served!"],
        ),
        ("a dog a dog a dog a dog", ["A dog runs.", "The dog runs across a field of 1,000 flowers."]),
    ],
    "too short and too long": [
        ("a bird", ["A small bird on a branch of a tree.", "a bird"]),
        (
            "a large red bus that is parked at the side of a very long road in a city",
            ["A red bus.", "Bus on a road"],
        ),
        ("sky", ["The sky is blue."]),
    ],
    "nothing in common": [
        ("one two three four five", ["six seven eight nine ten"]),
        ("alpha beta", ["gamma delta", "epsilon"]),
    ],
    "one image": [("a cup on a table", ["a cup on a table", "the table has a cup on it"])],
}


def of_chance(seed: int) -> list:
    """Captions of few words, so that n-grams repeat within and between images."""
    draw = random.Random(seed)

    def text():
        return " ".join(draw.choices("a the red blue cat dog on under mat".split(), k=draw.randint(1, 14)))

    return [(text(), [text() for _ in range(draw.randint(1, 6))]) for _ in range(40)]


def case(name: str, pairs: list) -> dict:
    def tokenized(texts):
        return PTBTokenizer().tokenize({i: [{"caption": text} for text in of] for i, of in enumerate(texts)})

    captions = tokenized([[caption] for caption, _ in pairs])
    references = tokenized([references for _, references in pairs])
    bleu, _ = Bleu(4).compute_score(references, captions, verbose=0)
    _, cider = Cider().compute_score(references, captions)
    order = range(len(pairs))
    return {
        "name": name,
        "said": [{"caption": caption, "references": references} for caption, references in pairs],
        "captions": [captions[i][0] for i in order],
        "references": [references[i] for i in order],
        "bleu": bleu,
        "cider": list(cider),
    }


def main() -> None:
    collections = COLLECTIONS | {f"chance, seed {seed}": of_chance(seed) for seed in (1, 2)}
    cases = [case(name, pairs) for name, pairs in collections.items()]
    path = pathlib.Path(__file__).with_name("caption_scores.json")
    path.write_text("[\n" + ",\n".join(json.dumps(each) for each in cases) + "\n]\n")


main()
