"""Text to batches: reading, tokenizers, token shards, training blocks. NumPy only."""

from .batches import Batches, EvaluationWindows, TokenBlocks, collate
from .shards import Shard, open_shard, write_shard
from .text import Document, Documents
from .tokenizer import encode_documents, load_tokenizer, make_tokenizer, parse_spec, save_tokenizer

__all__ = [
    "Batches",
    "Document",
    "Documents",
    "EvaluationWindows",
    "Shard",
    "TokenBlocks",
    "collate",
    "encode_documents",
    "load_tokenizer",
    "make_tokenizer",
    "open_shard",
    "parse_spec",
    "save_tokenizer",
    "write_shard",
]
