"""Kinds of characters that several floors ask for, as classes for regular expressions.

Unicode 16: the blocks of Chinese characters and kana, the planes of rare characters included.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

HAN = r"\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
HAN += r"\U00020000-\U0003ffff"  # extensions B and later
KANA = r"\u3041-\u309f\u30a0-\u30ff\u31f0-\u31ff\uff66-\uff9f\U0001aff0-\U0001b16f"
CJK = HAN + KANA
# With the signs that are as wide, between which nobody writes spaces either.
WIDE = CJK + r"\u3000-\u303f\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef"

CONTINUATION = range(0x80, 0xC0)  # bytes inside a UTF-8 sequence

_CHINESE = re.compile(f"[{CJK}]")


def is_alphanumeric(text: str) -> bool:
    """Whether a text is letters, their marks and digits; `str.isalnum` knows no marks (Hindi)."""
    return bool(text) and all(unicodedata.category(character)[0] in "LMN" for character in text)


def is_chinese(texts: Iterable[str]) -> bool:
    """Whether texts are written in Chinese or kana characters, between which are no spaces."""
    return any(_CHINESE.search(text) for text in texts)


def display_width(text: str) -> int:
    """How many columns of a terminal a text takes: two for a Chinese character, none for an accent
    that joins the letter before it."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
