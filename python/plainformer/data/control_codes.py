"""Control codes: tokens in front of a text that say what it is like.

A code is a special token of its own, `<|label:positive|>`. It is put in as an id: a text that
spells one is still text.

Keskar, McCann, Varshney, Xiong, Socher, "CTRL: A Conditional Transformer Language Model for
Controllable Generation", 2019, arXiv:1909.05858.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from tokenizers import Tokenizer

from ..errors import DataError
from .encoding import TextEncoder, share_vocabulary
from .labels import sort_labels
from .special_tokens import add_marks

_START, _END = "<|label:", "|>"


def add_control_codes(tokenizer: Tokenizer, labels: Iterable[str]) -> None:
    """Give a tokenizer the codes of labels that it lacks, behind its tokens, in sorted order."""
    add_marks(tokenizer, (f"{_START}{label}{_END}" for label in sort_labels(labels)))


def control_codes(tokenizer: Tokenizer) -> dict[str, int]:
    """Label to id of the codes of a tokenizer, by id; {} without any."""
    added = sorted(tokenizer.get_added_tokens_decoder().items())
    return {
        token.content[len(_START) : -len(_END)]: index
        for index, token in added
        if token.content.startswith(_START) and token.content.endswith(_END)
    }


class ControlCodes:
    """Texts behind the codes of their labels, as ids.

    tokenizer : with codes, see `add_control_codes`; it is left as it is

    ids : label to id of its code, by id
    """

    def __init__(self, tokenizer: Tokenizer):
        self._encoder = TextEncoder(share_vocabulary(tokenizer, all_is_text=True))
        self.ids = control_codes(tokenizer)

    def encode(
        self, text: str, label: str | None, file: str | None = None, line: int | None = None
    ) -> np.ndarray:
        """The id of the code, then those of the text, int32 (1 + N,).

        Raises
        ------
        DataError : no label, or one without a code; with file and line where given
        """
        if label not in self.ids:
            got = "none" if label is None else repr(label)
            known = ", ".join(self.ids)
            wanted = f"one of {known}" if known else "none: the model has no control codes"
            raise DataError(f"label: got {got}, expected {wanted}", file or None, line)
        [one] = self._encoder.encode([text], truncation=False, add_special_tokens=False)
        return np.append(np.int32(self.ids[label]), one.input_ids)
