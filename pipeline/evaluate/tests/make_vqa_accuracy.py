#!/usr/bin/env python3
"""Write vqa_accuracy.json: normal forms and accuracies by the VQA challenge's own program.

usage: make_vqa_accuracy.py VQA_EVAL       (a file with the challenge's class VQAEval for Python 3)

The program is PythonEvaluationTools/vqaEvaluation/vqaEval.py of GT-Vision-Lab/VQA; LAVIS has it for Python 3
as lavis/common/vqa_tools/vqa_eval.py. capfilt contains no part of it.
"""

import importlib.util
import json
import pathlib
import random
import sys
import types

TEXTS = [
    "yes", "No.", "A dog", "the  two Dogs", "two, three", "1,000 birds!", "3.5", "3. 5", "t.v.", "U.S.A.",
    "don't", "dont", "couldnt've", "some" "body'd", "yall'd've", "'ow'sat", "Im here", "none",
    "an apple/orange",
    "black-and-white", "black - white", "red; green", "red;green", "what?", "(left)", "on the left_side",
    "\"stop\"", "a", "", "  ten\tto\none ", "it's", "its", "oclock", "10:30", "10 : 30", "{x}", "[a] b",
    "a=b",
    "c++", "@home", "`quoted`", "50%", "#1", "café", "ÉTÉ", "a.b.c.d" + "." * 40, "no,no", "1,2 and a-b",
    "shed've", "she's", "shes", "twas the night", "ma'am", "maam", "whos there", "the a an", "zero",
    "one two",
]  # fmt: skip


def load(path):
    spec = importlib.util.spec_from_file_location("vqa_eval", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.VQAEval


def accuracy(evaluate, answer, people):
    """Evaluate one question; the answers of people are changed in place, so they are copied first."""
    question = {
        "answers": [{"answer": text, "answer_id": i} for i, text in enumerate(people)],
        "question_type": "x",
        "answer_type": "x",
    }
    truth = types.SimpleNamespace(qa={1: question}, getQuesIds=lambda: [1])
    given = types.SimpleNamespace(qa={1: {"answer": answer}}, getQuesIds=lambda: [1])
    program = evaluate(truth, given, n=10)
    program.updateProgress = lambda share: None
    program.evaluate()
    return program.accuracy["overall"] / 100


def normal_form(evaluate, text):
    program = evaluate(types.SimpleNamespace(getQuesIds=list), types.SimpleNamespace(getQuesIds=list))
    text = text.replace("\n", " ").replace("\t", " ").strip()
    return program.processDigitArticle(program.processPunctuation(text))


def main():
    evaluate = load(sys.argv[1])
    rng = random.Random(5)
    pieces = [
        "a",
        "the",
        "dont",
        "don't",
        "two",
        "dog",
        "1,000",
        "3.5",
        ".",
        ",",
        "-",
        "'",
        " ",
        " ",
        "?",
        "/",
    ]
    texts = TEXTS + ["".join(rng.choice(pieces) for _ in range(rng.randint(1, 9))) for _ in range(120)]
    cases = []
    for _ in range(120):
        some = rng.sample(texts, 3)
        people = [rng.choice(some) for _ in range(rng.choice([2, 3, 10, 10]))]
        answer = rng.choice([*some, rng.choice(texts)])
        cases.append({"answer": answer, "people": people, "accuracy": accuracy(evaluate, answer, people)})
    for same in ("t.v.", "two", "red"):
        cases.append(
            {"answer": same, "people": [same] * 10, "accuracy": accuracy(evaluate, same, [same] * 10)}
        )
    forms = [[text, normal_form(evaluate, text)] for text in texts]
    file = pathlib.Path(__file__).with_name("vqa_accuracy.json")
    file.write_text(json.dumps({"forms": forms, "cases": cases}, ensure_ascii=False, indent=1) + "\n")
    print(
        f"{len(forms)} texts, {len(cases)} questions; mean {sum(c['accuracy'] for c in cases) / len(cases)}"
    )


main()
