"""What a sentence encoder's directory says of itself: how its vectors were pooled in training.

sentence-transformers writes `modules.json`, a list of modules, and `1_Pooling/config.json`. Only
that one file is opened, whatever the list names.
"""

from __future__ import annotations

import os
from pathlib import Path

from .files import read_json

POOLING_CONFIG = Path("1_Pooling", "config.json")
# Its fields and what ours are called: booleans of version 2 to 5, or one word.
_FLAGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls",
          "pooling_mode_lasttoken": "last"}  # fmt: skip
_WORDS = {"mean": "mean", "cls": "cls", "lasttoken": "last"}


def sentence_pooling(directory: str | Path) -> str | None:
    """ "mean", "cls" or "last" for a sentence encoder; None for another model or another pooling.

    Raises
    ------
    CheckpointError : the file is there and is no JSON object
    """
    path = Path(directory, POOLING_CONFIG)
    if not os.path.lexists(path):
        return None
    values = read_json(path)
    chosen = [name for name in values if name.startswith("pooling_mode_") and values[name] is True]
    if len(chosen) == 1:
        return _FLAGS.get(chosen[0])
    word = values.get("pooling_mode")
    return _WORDS.get(word) if isinstance(word, str) and not chosen else None
