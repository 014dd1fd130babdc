"""What a sentence encoder's directory says of itself: how texts become vectors.

sentence-transformers writes these files beside a model's own; no other is opened, whatever the
list of modules names:

    modules.json                    the steps: Transformer, Pooling and perhaps Normalize
    1_Pooling/config.json           which of the tokens' states make a vector
    sentence_bert_config.json       the most tokens of a text, and whether it is lowercased
    config_sentence_transformers.json   prompts, and how vectors are compared
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, shown
from .atomic import write_json_atomic
from .files import read_json, read_json_list

MODULES = "modules.json"
POOLING_CONFIG = Path("1_Pooling", "config.json")
ENCODING = "sentence_bert_config.json"
COMPARING = "config_sentence_transformers.json"
# Its fields and what ours are called: booleans of version 2 to 5, or one word.
_FLAGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls",
          "pooling_mode_lasttoken": "last"}  # fmt: skip
_WORDS = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
_STEPS = ("Transformer", "Pooling", "Normalize")
_QUERIES, _DOCUMENTS = ("query",), ("document", "passage", "corpus")


@dataclass(frozen=True)
class SentenceFiles:
    """How a directory makes vectors of texts.

    pooling : "mean", "cls" or "last"
    normalize : whether vectors are made 1 long
    max_length : most tokens of a text, None for what the model takes
    lower_case : whether texts are lowercased before the tokenizer sees them
    prompts : what stands before a text, by what the text is for
    default_prompt : the one for texts of which nothing is said
    similarity : what vectors are compared by: cosine, dot, euclidean or manhattan
    """

    pooling: str = "mean"
    normalize: bool = False
    max_length: int | None = None
    lower_case: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    similarity: str = "cosine"

    @property
    def prompt(self) -> str:
        """What stands before a text of which nothing is said."""
        return self.prompts.get(self.default_prompt or "", "")

    @property
    def query_prompt(self) -> str:
        """What stands before a text that is searched for."""
        return self._prompt_of(_QUERIES)

    @property
    def document_prompt(self) -> str:
        """What stands before a text among which is searched."""
        return self._prompt_of(_DOCUMENTS)

    def _prompt_of(self, names: tuple[str, ...]) -> str:
        found = next((name for name in names if name in self.prompts), None)
        return self.prompt if found is None else self.prompts[found]


def sentence_pooling(directory: str | Path) -> str | None:
    """ "mean", "cls" or "last" for a sentence encoder; None for another model or another pooling.

    Raises
    ------
    CheckpointError : the file is there and is no JSON object
    """
    values = _values(directory, POOLING_CONFIG)
    chosen = [name for name in values if name.startswith("pooling_mode_") and values[name] is True]
    if len(chosen) == 1:
        return _FLAGS.get(chosen[0])
    word = values.get("pooling_mode")
    return _WORDS.get(word) if isinstance(word, str) and not chosen else None


def read_sentence_files(directory: str | Path) -> SentenceFiles | None:
    """What the files of a sentence encoder say; None for a directory without them.

    Raises
    ------
    CheckpointError : a file is damaged, or asks for a step, a pooling or a value that we have not:
        vectors would be others than those of sentence-transformers
    """
    there = [n for n in (MODULES, POOLING_CONFIG) if os.path.lexists(Path(directory, n))]
    if not there:
        return None
    steps = _steps(Path(directory, MODULES)) if MODULES in there else list(_STEPS[:2])
    encoding, comparing = _values(directory, ENCODING), _values(directory, COMPARING)
    prompts = comparing.get("prompts") or {}
    try:
        return SentenceFiles(
            _pooling(directory),
            "Normalize" in steps,
            _typed(ENCODING, "max_seq_length", encoding.get("max_seq_length"), int),
            bool(_typed(ENCODING, "do_lower_case", encoding.get("do_lower_case"), bool)),
            {str(k): v for k, v in _typed(COMPARING, "prompts", prompts, dict).items() if v},
            _typed(COMPARING, "default_prompt_name", comparing.get("default_prompt_name"), str),
            _typed(COMPARING, "similarity_fn_name", comparing.get("similarity_fn_name"), str)
            or "cosine",
        )
    except ValueError as error:
        raise CheckpointError(f"{directory}: {error}") from error


def write_sentence_files(directory: str | Path, files: SentenceFiles, width: int) -> None:
    """Write them as version 2 to 6 of sentence-transformers reads them.

    width : of the states
    """
    root, steps = Path(directory), _STEPS if files.normalize else _STEPS[:2]
    flags = {name: word == files.pooling for name, word in _FLAGS.items()}
    others = ("pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens",
              "pooling_mode_weightedmean_tokens")  # fmt: skip
    for i in range(1, len(steps)):
        Path(root, f"{i}_{steps[i]}").mkdir(exist_ok=True)
    write_json_atomic(
        root / POOLING_CONFIG,
        {"word_embedding_dimension": width, **flags, **dict.fromkeys(others, False),
         "include_prompt": True},
    )  # fmt: skip
    write_json_atomic(
        root / ENCODING, {"max_seq_length": files.max_length, "do_lower_case": files.lower_case}
    )
    write_json_atomic(
        root / COMPARING,
        {"prompts": dict(files.prompts), "default_prompt_name": files.default_prompt,
         "similarity_fn_name": files.similarity},
    )  # fmt: skip
    write_json_atomic(
        root / MODULES,
        [
            {"idx": i, "name": str(i), "path": f"{i}_{name}" if i else "",
             "type": f"sentence_transformers.models.{name}"}
            for i, name in enumerate(steps)
        ],
    )  # fmt: skip


def _values(directory: str | Path, name: str | Path) -> dict[str, Any]:
    """The contents of a file that may be missing."""
    path = Path(directory, name)
    return read_json(path) if os.path.lexists(path) else {}


def _steps(path: Path) -> list[str]:
    """The names of the modules in the list, all of which we have."""
    modules = read_json_list(path)
    names = [str(m.get("type")).rpartition(".")[2] if isinstance(m, dict) else "" for m in modules]
    if names not in (list(_STEPS), list(_STEPS[:2])) or modules[0].get("path"):
        raise CheckpointError(
            f"{path}: got {' > '.join(names) or 'none'}, expected Transformer > Pooling, perhaps > "
            "Normalize, the model itself beside this file"
        )
    return names


def _pooling(directory: str | Path) -> str:
    """The pooling; the mean where nothing is said of it, as in sentence-transformers."""
    values, found = _values(directory, POOLING_CONFIG), sentence_pooling(directory)
    said = {n: v for n, v in values.items() if n.startswith("pooling_mode") and v}
    if found is None and said:
        raise ValueError(f"{POOLING_CONFIG}: got {shown(said)}, expected mean, cls or lasttoken")
    if values.get("include_prompt") is False:
        raise ValueError(f"{POOLING_CONFIG}: include_prompt: got false, expected true")
    return found or "mean"


def _typed(file: str, name: str, value: Any, kind: type) -> Any:
    if value is None or type(value) is kind:
        return value
    raise ValueError(f"{file}: {name}: got {shown(value)}, expected {kind.__name__}")
