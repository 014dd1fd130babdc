"""Above the kernels no line takes an array that may be a device's for NumPy's.

What such arrays need goes through `kernels.xp(array)` or a kernel. NumPy may be named for what is
no array, and used where everything is on the host by its nature; `tests/test_second_backend.py`
runs models on arrays that NumPy cannot see, so that none of these reasons is only claimed.
"""

import ast
from pathlib import Path

import pytest

import plainformer

PACKAGE = Path(plainformer.__file__).parent
ROOMS = ["arithmetic", "functional", "generation", "models", "nn", "optim", "packing", "parameter",
         "tape", "tensor", "training"]  # fmt: skip

# No arrays: types, limits, numbers, modes of this thread, generators of random numbers.
NAMES = {
    "bool_", "broadcast_shapes", "dtype", "errstate", "finfo", "float16", "float32", "float64",
    "floating", "generic", "inf", "int32", "int64", "integer", "ndarray", "random",
}  # fmt: skip

_TOKENS = "ids of texts, which come from users and go to them"
_WEIGHTS = "weights are drawn on the host, and moved from there"
_NUMBERS = "tables that follow from numbers of a configuration; taken beside the rows by `asarray`"
_EXAMPLES = "examples of data sets become batches, predictions become metrics"
# Files, or functions in them, whose arrays are on the host, and why.
HOST = {
    "generation/beam_search.py": _TOKENS,
    "generation/call.py": _TOKENS,
    "generation/context.py": _TOKENS,
    "generation/decode.py": _TOKENS,
    "generation/prompts.py": _TOKENS,
    "generation/stopping.py": _TOKENS,
    "models/phi3.py:Phi3Model.turns": "which rows are long, as lengths say on the host",
    "models/pretrained.py:truncated_matrix": _WEIGHTS,
    "models/t5.py:T5PreTrainedModel.initial_value": _WEIGHTS,
    "models/t5.py:T5ForConditionalGeneration.read_state": "arrays of a mapped checkpoint",
    "models/transformer.py:TransformerForConditionalGeneration.to_marian": _NUMBERS,
    "nn/cache.py:KeyValueCache.__init__": "lengths, from which shapes follow",
    "nn/cache.py:_moves": "which rows go on, as those who choose them say on the host",
    "nn/empty.py": _WEIGHTS,
    "nn/positions.py:sinusoids": _NUMBERS,
    "nn/rotary.py": _NUMBERS,
    "nn/sequences.py:Sequences.uniform": "borders of sequences that no array was asked for",
    "optim/optimizer.py:Optimizer.state_dict": "numbers of options, to be saved",
    "optim/optimizer.py:Optimizer._read_options": "numbers of options, as they were saved",
    "training/batches.py": _EXAMPLES,
    "training/evaluation.py": _EXAMPLES,
}


def uses(source):
    """(function, line, name) wherever NumPy is used for more than a name of `NAMES`."""
    found = []

    def visit(node, path):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            path = (*path, node.name)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numpy":
            names = sorted({alias.name for alias in node.names} - NAMES)
            found.extend((".".join(path), node.lineno, name) for name in names)
        is_numpy = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if is_numpy and node.value.id in ("np", "numpy") and node.attr not in NAMES:
            found.append((".".join(path), node.lineno, node.attr))
        for child in ast.iter_child_nodes(node):
            visit(child, path)

    visit(ast.parse(source), ())
    return found


def files():
    for room in ROOMS:
        path = PACKAGE / room
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def test_nothing_above_the_kernels_takes_an_array_for_numpys():
    left, idle = [], set(HOST)
    for path in files():
        name = path.relative_to(PACKAGE).as_posix()
        for function, line, used in uses(path.read_text(encoding="utf-8")):
            reasons = {name, f"{name}:{function}"} & HOST.keys()
            idle -= reasons
            if not reasons:
                left.append(f"{name}:{line} np.{used} in {function or 'the file'}")
    assert not left, "use kernels.xp(array), kernels.asarray or kernels.array_of"
    assert not idle, "no longer needed"


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("import numpy as np\ny = np.zeros(3)", 1),
        ("y = map(np.asarray, xs)", 1),
        ("from numpy import where, ndarray", 1),
        ("y = np.add.reduce(x)", 1),
        ("y = numpy.exp(x)", 1),
        ("y = kernels.xp(x).zeros(3, np.float32)", 0),
        ("rng = np.random.Generator(np.random.Philox(key=[1, 2]))", 0),
        ("def f(x: np.ndarray) -> np.dtype: return xp.where(x, -np.inf, 0)", 0),
    ],
)
def test_the_count_sees_calls_functions_passed_on_and_imports(source, count):
    assert len(uses(source)) == count
