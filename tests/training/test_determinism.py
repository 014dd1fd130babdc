"""The same bytes at any number of threads, over a run long enough for a difference to grow."""

import numpy as np
import pytest

from plainformer import runtime
from plainformer.training import Trainer

from .tiny import rows, tiny_args, tiny_model, tree

# Wide enough that matrices, rows of tokens and the optimizer are all cut into several blocks.
WIDE = {"n_embd": 96, "n_head": 3, "vocab_size": 301, "n_positions": 64}


def text_blocks():
    rng = np.random.Generator(np.random.Philox(key=[4, 7]))
    starts = rng.integers(301, size=64)
    blocks = (starts[:, None] + np.arange(65) * 7) % 301
    return [
        {"input_ids": row[:-1].astype(np.int32), "shift_labels": row[1:].astype(np.int32)}
        for row in blocks
    ]


def run(output_dir, threads, **options):
    with runtime.num_threads(threads):
        trainer = Trainer(
            tiny_model(**WIDE), tiny_args(output_dir, dropout=0.1, **options), text_blocks()
        )
        trainer.train()
    return tree(output_dir)


@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bfloat16"])
def test_threads_do_not_change_a_byte(tmp_path, bf16):
    one, two, three = (run(tmp_path / str(n), n, max_steps=25, bf16=bf16) for n in (1, 2, 3))
    assert one == two == three


def test_two_hundred_steps_at_1_2_and_3_threads(tmp_path):
    options = {"max_steps": 200, "per_device_train_batch_size": 2, "logging_steps": 1,
               "gradient_accumulation_steps": 1}  # fmt: skip
    one, two, three = (run(tmp_path / str(n), n, **options) for n in (1, 2, 3))
    assert one == two == three


def test_a_run_repeats_itself(tmp_path):
    trees = []
    for name in ("a", "b"):
        trainer = Trainer(tiny_model(), tiny_args(tmp_path / name), rows(37))
        trainer.train()
        trees.append(tree(tmp_path / name))
    assert trees[0] == trees[1]
