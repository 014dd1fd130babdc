"""No kernel, layer or training path calls anyone's BLAS: matrix products are ours."""

import ast
from pathlib import Path

import numpy as np
import pytest

import plainformer as pf

PACKAGE = Path(pf.__file__).parent
PRODUCTS = ("matmul", "dot", "vdot", "inner", "einsum", "tensordot", "matvec", "vecmat", "vecdot")


@pytest.fixture
def numpy_products_raise(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a NumPy matrix product was called")

    for name in PRODUCTS:
        if hasattr(np, name):
            monkeypatch.setattr(np, name, refuse)


def test_a_training_step_and_a_generation(numpy_products_raise, tmp_path):
    config = pf.GPT2Config(
        vocab_size=17,
        n_positions=16,
        n_embd=8,
        n_layer=2,
        n_head=2,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = pf.GPT2LMHeadModel(config, seed=1)
    rows = [{"input_ids": np.arange(9, dtype=np.int32) % 17} for _ in range(4)]
    for row in rows:
        row["labels"] = row["input_ids"]
    arguments = pf.TrainingArguments(
        output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=2, disable_tqdm=True
    )
    before = {n: a.copy() for n, a in model.state_dict().items()}
    pf.Trainer(model, arguments, rows).train()
    assert any((a != before[n]).any() for n, a in model.state_dict().items())
    model.eval()
    tokens = model.generate(np.array([[1, 2, 3]]), max_new_tokens=4)
    assert np.asarray(tokens).shape == (1, 7)


def test_no_source_has_a_matrix_product_operator():
    """`@` between arrays cannot be made to raise, so it is looked for.

    The bench may use it: in the peers that are measured and in the references of its cases.
    """
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.parent not in (PACKAGE / "bench" / "peers", PACKAGE / "bench" / "cases")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.MatMult)
    ]
    assert not found
