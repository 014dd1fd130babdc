"""Text and labelled data to batches: reading, tokenizers, shards, windows. NumPy only."""

from .batch_encoding import BatchEncoding
from .batches import EvaluationWindows, TokenBlocks, collate
from .description import Description, describe
from .encoding import Encoded, TextEncoder
from .examples import (
    Answer,
    CharSpan,
    ChoiceExample,
    DialogueExample,
    Message,
    PairExample,
    QuestionExample,
    RelationExample,
    SimilarityExample,
    TextExample,
    TokenExample,
)
from .labelled.objects import examples_of
from .labelled.reader import Examples, read_examples
from .labels import LabelMap
from .pretrained_tokenizer import PreTrainedTokenizer, as_backend, load_tokenizer
from .shards import Shard, open_shard, shard_writer, write_shard
from .text import Document, Documents
from .text_shards import encode_to_shard
from .tokenizer import encode_documents, make_tokenizer, parse_spec, read_tokenizer, save_tokenizer

__all__ = [
    "Answer",
    "BatchEncoding",
    "CharSpan",
    "ChoiceExample",
    "Description",
    "DialogueExample",
    "Document",
    "Documents",
    "Encoded",
    "EvaluationWindows",
    "Examples",
    "LabelMap",
    "Message",
    "PairExample",
    "PreTrainedTokenizer",
    "QuestionExample",
    "RelationExample",
    "Shard",
    "SimilarityExample",
    "TextEncoder",
    "TextExample",
    "TokenBlocks",
    "TokenExample",
    "as_backend",
    "collate",
    "describe",
    "encode_documents",
    "encode_to_shard",
    "examples_of",
    "load_tokenizer",
    "make_tokenizer",
    "open_shard",
    "parse_spec",
    "read_examples",
    "read_tokenizer",
    "save_tokenizer",
    "shard_writer",
    "write_shard",
]
