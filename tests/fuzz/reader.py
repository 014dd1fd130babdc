"""What a reader is to the fuzzer, and how a case damages its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from .mutate import mutated


@dataclass
class Reader:
    """A kind of file that we read.

    make : writes valid files into an empty directory
    read : opens and uses what is there; given the directory
    files : those that are damaged, one a case; by default all that `make` wrote
    names : keys that may appear in a JSON file beside its own
    seal : called after the damage, for what an attacker would repair too (checksums)
    """

    make: Callable[[Path], Any]
    read: Callable[[Path], Any]
    files: Sequence[str] = ()
    names: Sequence[str] = ()
    seal: Callable[[Path], Any] | None = None
    valid: dict[str, bytes] = field(default_factory=dict, repr=False)

    def prepare(self, directory: Path) -> None:
        """Make the files, and see that undamaged they can be read."""
        directory.mkdir(parents=True)
        self.make(directory)
        files = sorted(p for p in directory.rglob("*") if p.is_file())
        self.valid = {p.relative_to(directory).as_posix(): p.read_bytes() for p in files}
        if self.seal is not None:
            self.seal(directory)
        self.read(directory)
        self.restore(directory)

    def restore(self, directory: Path) -> None:
        """The directory as `make` left it: what a case wrote is removed, or written anew."""
        for path in [p for p in directory.rglob("*") if not p.is_dir() or p.is_symlink()]:
            name = path.relative_to(directory).as_posix()
            if name not in self.valid:
                path.unlink()
        for name, data in self.valid.items():
            path = directory / name
            if not path.is_file() or path.read_bytes() != data:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    def damage(self, directory: Path, seed: str) -> None:
        """Damage one of the files, as the seed says."""
        random = Random(seed)
        name = random.choice(list(self.files or self.valid))
        data = mutated(random, name, self.valid[name], tuple(self.names))
        (directory / name).write_bytes(data)
        if self.seal is not None:
            self.seal(directory)
