"""A short training of a tiny student, to be run as it is or by several processes that share its batches.

`shared_training.py STUDENT WEIGH DROPOUT FOLDER`: the first process writes FOLDER/model and FOLDER/log.json.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from scicot_utils import students

SENTENCES = ("A raft is a watercraft, a vehicle.", "A cod is a fish.", "Every bird has feathers. So robin.")
PAIRS = [(f"({mark}) raft Copy: {text}", text[: 9 * size]) for mark in "abcd" for size, text in enumerate(SENTENCES, 1)]


def main(name: str, weigh: str, dropout: str, folder: str) -> None:
    run = students.load(name)
    options = students.TrainingOptions(
        steps=6, batch_size=4, micro_batches=2, learning_rate=1e-3, schedule="cosine", warmup_ratio=0.1,
        weight_decay=0.05, max_grad_norm=1.0, dropout=float(dropout), freeze_embeddings=True, max_input_tokens=64,
        max_target_tokens=64, seed=0, adam_beta2=0.98, threads=1, weigh=weigh, checkpoint_steps=4,
        choose_by="validation_loss",
    )  # fmt: skip
    log = students.fine_tune(
        run, PAIRS, options, output_dir=Path(folder), validation_pairs=PAIRS[:2], show_progress=False
    )
    if os.environ.get("RANK", "0") == "0":
        students.save(run, Path(folder) / "model")
        (Path(folder) / "log.json").write_text(json.dumps(asdict(log)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
