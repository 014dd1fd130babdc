"""What CuPy has of NumPy's, as far as plainformer may use it: names and their arguments.

`cupy_surface.json` is what the double of `tests/device.py` allows. Where CuPy is installed, with or
without a GPU, `tests/test_cupy_surface.py` compares the two, and this writes the file anew:

    python -m tests.cupy_surface
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")

FUNCTIONS = (
    "abs", "all", "any", "arange", "argmax", "argmin", "argsort", "argwhere", "array",
    "array_equal", "asarray", "ascontiguousarray", "bincount", "broadcast_to", "clip",
    "concatenate", "copyto", "count_nonzero", "cumsum", "diff", "empty", "empty_like", "exp",
    "flatnonzero", "full", "full_like", "isfinite", "isin", "isnan", "isneginf", "log", "log1p",
    "maximum", "minimum", "nextafter", "nonzero", "ones", "ones_like", "pad", "partition",
    "put_along_axis", "repeat", "searchsorted", "sort", "split", "sqrt", "square", "stack", "sum",
    "take_along_axis", "tile", "where", "zeros", "zeros_like",
)  # fmt: skip
METHODS = (
    "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "copy", "cumsum", "fill", "get",
    "item", "max", "min", "ravel", "repeat", "reshape", "sort", "sum", "tolist", "transpose",
    "view",
)  # fmt: skip
OPERATORS = (
    "abs", "add", "and", "bool", "eq", "float", "floordiv", "ge", "getitem", "gt", "iadd", "iand",
    "ifloordiv", "imod", "imul", "int", "invert", "ior", "ipow", "isub", "iter", "itruediv", "le",
    "len", "lt", "matmul", "mod", "mul", "ne", "neg", "or", "pow", "radd", "rand", "rfloordiv",
    "rmatmul", "rmod", "rmul", "ror", "rpow", "rsub", "rtruediv", "setitem", "sub", "truediv",
)  # fmt: skip
# What operators on arrays call; with `FUNCTIONS` all that may meet bfloat16.
UFUNCS = {
    "abs": "absolute", "add": "add", "eq": "equal", "floordiv": "floor_divide",
    "ge": "greater_equal", "gt": "greater", "le": "less_equal", "lt": "less", "mod": "remainder",
    "mul": "multiply", "ne": "not_equal", "neg": "negative", "pow": "power", "sub": "subtract",
    "truediv": "true_divide",
}  # fmt: skip


def described(cupy):
    """The names above as this CuPy has them, for the file."""
    functions = {name: getattr(cupy, name) for name in FUNCTIONS}
    return {
        "version": cupy.__version__,
        "functions": {name: _arguments(function, cupy) for name, function in functions.items()},
        "methods": {name: _of_docstring(getattr(cupy.ndarray, name)) for name in METHODS},
        "operators": [name for name in OPERATORS if hasattr(cupy.ndarray, f"__{name}__")],
        "reduceat": _of_docstring(cupy.add.reduceat),
        "bfloat16": _with_bfloat16(cupy),
    }  # fmt: skip


def _with_bfloat16(cupy):
    """The functions and operators of numbers that have a loop for it; "E" is its letter."""
    ufuncs = {name: getattr(cupy, UFUNCS.get(name, name)) for name in (*UFUNCS, *FUNCTIONS)}
    return sorted(
        name
        for name, ufunc in ufuncs.items()
        if isinstance(ufunc, cupy.ufunc) and any("E" in types for types in ufunc.types)
    )


def _arguments(function, cupy):
    if isinstance(function, cupy.ufunc):
        return [*("abc"[: function.nin]), "out", "*", "dtype", "casting"]
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in found:
            found.append("*")
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        found.append(prefix.get(parameter.kind, "") + parameter.name)
    return found


def _of_docstring(method):
    """The arguments of a compiled method, which stand in the first line of its docstring."""
    inside = re.search(r"\((.*?)\)( ->|$)", method.__doc__.splitlines()[0])[1]
    words = [word.split("=")[0].split()[-1] for word in inside.split(",") if word.strip()]
    return [word for word in words if word not in ("self", "*")]


def allowed():
    """What the file says."""
    return json.loads(FILE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    import cupy

    text = json.dumps(described(cupy), indent=1)
    text = re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), text)
    FILE.write_text(text.replace("[ ", "[").replace(" ]", "]") + "\n", encoding="utf-8")
