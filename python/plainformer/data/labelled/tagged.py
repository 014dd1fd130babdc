"""Records with tokens and tags to examples; tags in the order of their scheme."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, islice
from typing import Any

from ...errors import ConfigError, DataError, shown
from ...metrics.tags import SCHEMES, check_tags, detect_scheme, is_tag, spans_of, tags_of
from ..examples import Example, TokenExample
from ..records.source import Reading, Record
from .annotated import BAD_SPANS, tagged_words, words_of
from .build import Builder, check_present, check_string

_SAMPLE = 1000  # sentences looked at to tell the scheme
_BLANKS = " \t\r\n"  # a no-break or an ideographic space can be a token


class TokenBuilder(Builder):
    """Makes the examples of token-classification; all files of a data set share a scheme.

    Parameters
    ----------
    names : what the fields are called in the files, for messages
    labelled : bool, whether tags must be there
    tag_scheme : one of SCHEMES, or None to tell by the letters: IOB2, IOBES or BILOU; tags without
        prefixes (parts of speech) are in no scheme and stand in any order. IOB1 becomes IOB2.
        Entities at offsets become tags of it.
    bad_spans : one of BAD_SPANS, what is done about entities that are no words, or overlap

    Raises
    ------
    ConfigError : an unknown scheme or way
    """

    def __init__(
        self,
        names: Mapping[str, Any],
        labelled: bool,
        tag_scheme: str | None,
        bad_spans: str = "error",
    ):
        if tag_scheme is not None and tag_scheme not in SCHEMES:
            raise ConfigError(
                f"tag_scheme: got {shown(tag_scheme)}, expected one of {', '.join(SCHEMES)}"
            )
        if bad_spans not in BAD_SPANS:
            raise ConfigError(
                f"bad_spans: got {shown(bad_spans)}, expected one of {', '.join(BAD_SPANS)}"
            )
        super().__init__("token-classification", names, labelled)
        self._bad_spans, self._leave_out = bad_spans, _forget
        self.scheme = tag_scheme  # "" once tags were seen that have none

    def examples(self, records: Iterable[Record], reading: Reading, file: str) -> Iterator[Example]:
        """The examples of one file; what is none is rejected at its word's line."""
        self._leave_out = partial(reading.leave_out, file=file)
        good = reading.good(records, file)
        sample = list(islice(good, _SAMPLE))
        if self.scheme is None:
            self.scheme = _scheme_of(sample)
        return super().examples(chain(sample, good), reading, file)

    def __call__(self, record: Record, file: str) -> TokenExample:
        """The example; ValueError if it is not one."""
        if "text" in record.fields and "tokens" not in record.fields:
            return self._annotated(record, file)
        check_present(record.fields, self._required, self.names)
        tokens, tags = record.fields["tokens"], record.fields.get("tags")
        _check_strings(tokens, str(self.names["tokens"]))
        if tags is not None:
            if isinstance(tags, list) and tags and all(isinstance(tag, int) for tag in tags):
                raise ValueError("tags are numbers; say what they stand for with label_names")
            _check_strings(tags, str(self.names["tags"]))
            if len(tokens) != len(tags):
                raise ValueError(f"got {len(tokens)} tokens and {len(tags)} tags, expected as many")
            tags = self._in_order(tokens, tags, record)
        return TokenExample(tokens, tags, file, record.line)

    def _annotated(self, record: Record, file: str) -> TokenExample:
        """The example of a text with entities."""
        text = self._string(record.fields, "text")
        if not self.labelled:
            tokens, spans = words_of(text)
            return TokenExample(tokens, None, file, record.line, text, spans)
        check_present(record.fields, ("text", "entities"), self.names)
        scheme = self.scheme if self.scheme in ("IOBES", "BILOU") else "IOB2"
        found = tagged_words(text, record.fields["entities"], self._bad_spans, scheme)
        for problem in found.left_out:
            self._leave_out("entities left out", problem, line=record.line)
        return TokenExample(found.tokens, found.tags, file, record.line, text, found.spans)

    def _in_order(self, tokens: list[str], tags: list[str], record: Record) -> list[str]:
        if not self.scheme:
            return tags
        wrong = check_tags(tags, self.scheme)
        if wrong:
            word, problem = wrong
            line = record.lines[word] if record.lines else record.line
            problem = f"word {word + 1} ({shown(tokens[word])}): {problem}"
            raise DataError(problem, None, line)
        return tags_of(spans_of(tags), len(tags)) if self.scheme == "IOB1" else tags


def _scheme_of(records: list[Record]) -> str | None:
    """The scheme of the first sentences; "" where no tag has a prefix; None where all are O."""
    if any("entities" in record.fields for record in records):
        return "IOB2"
    lists = [record.fields.get("tags") for record in records]
    given = [tag for tags in lists if isinstance(tags, list) for tag in tags]
    tags = {tag for tag in given if isinstance(tag, str) and tag != "O"}
    if not tags:
        return None
    prefixed = [tag for tag in tags if is_tag(tag)]
    return detect_scheme(prefixed) if prefixed else ""


def _forget(what: str, problem: str, *, line: int | None) -> None:
    """Where nobody counts."""


def _check_strings(values: Any, what: str) -> None:
    if not isinstance(values, list) or not values:
        raise ValueError(f"{shown(what)}: expected a list of at least one string")
    for i, value in enumerate(values):
        check_string(value, f"{what}[{i}]", _BLANKS)
