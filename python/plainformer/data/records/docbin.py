"""spaCy's `.spacy` files (DocBin), read by spaCy, where it is installed."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import DataError, short
from .source import Record


def read_docbin(path: str) -> Iterator[Record]:
    """A record for each document: its text and its entities, as `annotations` has them.

    Raises
    ------
    DataError : spaCy is not installed, or cannot read the file
    """
    try:
        import spacy
        from spacy.tokens import DocBin
    except ImportError as error:
        raise DataError(
            "is a DocBin, which spaCy alone reads: pip install spacy, or write it as "
            '["text", {"entities": [[start, end, "label"]]}]',
            path,
        ) from error
    vocabulary = spacy.blank("xx").vocab
    try:
        docs = list(DocBin().from_disk(path).get_docs(vocabulary))
    except Exception as error:  # whatever spaCy, zlib and msgpack raise of a damaged file
        raise DataError(f"cannot be read by spaCy: {short(error)}", path) from error
    for number, doc in enumerate(docs, 1):
        entities = [[ent.start_char, ent.end_char, ent.label_, None] for ent in doc.ents]
        yield Record({"text": doc.text, "entities": entities}, None, where=f"document {number}")
