"""A name means one thing: no two files of the package define a class or function of one name."""

import ast
from collections import defaultdict
from pathlib import Path

import plainformer

PACKAGE = Path(plainformer.__file__).parent

# One operation on each floor that it passes: arrays, tape, methods of a Tensor, layers.
FLOORS_OF_AN_OPERATION = {"kernels", "functional", "arithmetic", "nn"}
# A command is named after the function that it calls; a benchmark's cases after the operation.
OUTSIDE = {"cli", "bench", "__main__"}


def room_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def public_names(path):
    """Classes and functions of a file's top level that other files may import."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
            yield node.name


def shared_names(files):
    """Names that several files define, and which."""
    places = defaultdict(set)
    for path in files:
        for name in public_names(path):
            places[name].add(path)
    return {name: found for name, found in places.items() if len(found) > 1}


def test_no_two_files_define_the_same_name():
    files = [path for path in PACKAGE.rglob("*.py") if room_of(path) not in OUTSIDE]
    double = {
        name: sorted(path.relative_to(PACKAGE).as_posix() for path in paths)
        for name, paths in shared_names(files).items()
    }
    twins = {
        name
        for name, paths in shared_names(files).items()
        if {room_of(path) for path in paths} <= FLOORS_OF_AN_OPERATION
        and len({room_of(path) for path in paths}) == len(paths)
    }
    assert not {name: paths for name, paths in double.items() if name not in twins}


def test_the_search_finds_what_is_defined_twice(tmp_path):
    (tmp_path / "a.py").write_text("class Loaded:\n    pass\n\ndef _own():\n    pass\n")
    (tmp_path / "b.py").write_text("def Loaded():\n    pass\n\ndef _own():\n    pass\n")
    assert list(shared_names(tmp_path.glob("*.py"))) == ["Loaded"]
