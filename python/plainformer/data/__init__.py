"""Text and labelled data to batches: reading, tokenizers, shards, windows. NumPy only."""

from .alignment import (
    WordWindow,
    fill_words,
    first_tokens,
    merge_words,
    window_labels,
    window_tokens,
    word_windows,
)
from .batch_encoding import BatchEncoding
from .batches import EvaluationWindows, TokenBlocks, collate
from .description import Description, describe
from .encoding import DataCollatorWithPadding, Encoded, TextEncoder
from .examples import (
    Answer,
    CharSpan,
    ChoiceExample,
    DialogueExample,
    Message,
    PairExample,
    QuestionExample,
    RelationExample,
    TextExample,
    TokenExample,
    task_name,
)
from .labelled import ExampleReader, Examples, examples_of, read_examples
from .labels import LabelMap, check_labels, label_counts, label_set, sort_labels, unseen_labels
from .pretrained_tokenizer import PreTrainedTokenizer, as_backend, load_tokenizer
from .shards import Shard, open_shard, shard_writer, write_shard
from .special_tokens import SpecialIds, special_ids
from .text import Document, Documents
from .text_shards import encode_to_shard
from .tokenizer import encode_documents, make_tokenizer, parse_spec, read_tokenizer, save_tokenizer
from .windows import (
    SpanScore,
    WindowScores,
    answer_target,
    answer_text,
    answer_tokens,
    best_spans,
    token_windows,
    trimmed_offsets,
)

__all__ = [
    "Answer",
    "BatchEncoding",
    "CharSpan",
    "ChoiceExample",
    "DataCollatorWithPadding",
    "Description",
    "DialogueExample",
    "Document",
    "Documents",
    "Encoded",
    "EvaluationWindows",
    "ExampleReader",
    "Examples",
    "LabelMap",
    "Message",
    "PairExample",
    "PreTrainedTokenizer",
    "QuestionExample",
    "RelationExample",
    "Shard",
    "SpanScore",
    "SpecialIds",
    "TextEncoder",
    "TextExample",
    "TokenBlocks",
    "TokenExample",
    "WindowScores",
    "WordWindow",
    "answer_target",
    "answer_text",
    "answer_tokens",
    "as_backend",
    "best_spans",
    "check_labels",
    "collate",
    "describe",
    "encode_documents",
    "encode_to_shard",
    "examples_of",
    "fill_words",
    "first_tokens",
    "label_counts",
    "label_set",
    "load_tokenizer",
    "make_tokenizer",
    "merge_words",
    "open_shard",
    "parse_spec",
    "read_examples",
    "read_tokenizer",
    "save_tokenizer",
    "shard_writer",
    "sort_labels",
    "special_ids",
    "task_name",
    "token_windows",
    "trimmed_offsets",
    "unseen_labels",
    "window_labels",
    "window_tokens",
    "word_windows",
    "write_shard",
]
