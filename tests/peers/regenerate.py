"""Write tests/models/golden: `python -m tests.peers.regenerate [NAME...]`, all without names.

Needs torch and transformers. Looks at every class in tests/peers/test_*.py with `cases`.
"""

import importlib
import shutil
import sys
from pathlib import Path

from tests.models.numbers import GOLDEN, save_golden
from tests.peers.harness import PeerTests, theirs


def all_cases():
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.peers.{path.stem}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, PeerTests):
                yield from value.cases


def write(case):
    folder = GOLDEN / case.name
    shutil.rmtree(folder, ignore_errors=True)
    model, batch = case.build(), case.batch()
    model.save_pretrained(folder)
    folder.joinpath("model.safetensors").chmod(0o644)
    (folder / "generation_config.json").unlink(missing_ok=True)
    save_golden(folder, batch, case.outputs, theirs(model, batch, case))
    folder.joinpath("expected.safetensors").chmod(0o644)


def main(names):
    cases = {case.name: case for case in all_cases()}
    for name in names or cases:
        write(cases[name])
        print(f"{GOLDEN / name}")


if __name__ == "__main__":
    main(sys.argv[1:])
