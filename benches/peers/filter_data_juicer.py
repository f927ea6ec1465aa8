#!/usr/bin/env python3
"""Data-Juicer's `image_text_matching_filter` on a folder of pictures and a file of texts. Prints one JSON
line.

usage: filter_data_juicer.py --filter DIR --images DIR --texts FILE [--threads 2] [--limit N]
       (DATA_JUICER: the folder of py-data-juicer)

The operator is called as in a recipe, on rows with a picture's path and a text: it loads each picture and
calls transformers' BLIP in f32, one pair at a time. The first row is done once before the clock starts, so
that the model is loaded.
"""

import argparse
import json
import os
import pathlib
import sys
import time

os.environ["CUDA_VISIBLE_DEVICES"] = ""
import torch

# At the end of the path: its dependencies must not replace the versions that the other competitors use.
sys.path.append(os.environ["DATA_JUICER"])


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--filter", required=True)
    p.add_argument("--images", type=pathlib.Path, required=True)
    p.add_argument("--texts", type=pathlib.Path, required=True)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--limit", type=int)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    import data_juicer
    from data_juicer.ops.filter.image_text_matching_filter import ImageTextMatchingFilter
    from data_juicer.utils.constant import Fields, StatsKeys
    from data_juicer.utils.mm_utils import SpecialTokens

    operator = ImageTextMatchingFilter(hf_blip=args.filter, min_score=0.5, accelerator="cpu")
    pictures = sorted(args.images.iterdir())
    texts = [line for line in args.texts.read_text().splitlines() if line.strip()][: args.limit]
    rows = [
        {
            "text": f"{SpecialTokens.image} {text} {SpecialTokens.eoc}",
            "images": [str(pictures[i % len(pictures)])],
            Fields.stats: {},
        }
        for i, text in enumerate(texts)
    ]

    def judge(row):
        return operator.process_single(operator.compute_stats_single(row))

    judge(dict(rows[0], **{Fields.stats: {}}))
    began = time.perf_counter()
    kept = [bool(judge(row)) for row in rows]
    seconds = time.perf_counter() - began
    scores = [row[Fields.stats][StatsKeys.image_text_matching_score][0] for row in rows]
    print(
        json.dumps(
            {
                "peer": "data-juicer",
                "version": data_juicer.__version__,
                "rows": len(rows),
                "s_per_row": seconds / len(rows),
                "kept": sum(kept),
                "scores": scores,
                "torch": torch.__version__,
            }
        )
    )


main()
