"""BART: a post-norm encoder-decoder with learned positions and a norm after the embeddings.

References
----------
Lewis et al., "BART: Denoising Sequence-to-Sequence Pre-training", 2019, arXiv:1910.13461.
Parameter names and `config.json`: transformers' `BartForConditionalGeneration`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import functional, kernels, nn
from ..errors import ShapeError
from ..tensor import Array, Tensor
from .classifiers import QuestionAnswerer, SequenceClassifier
from .encoder import Encoder, Rows
from .encoder_decoder import EncoderDecoder, EncoderDecoderLM, EncoderDecoderModel, Layout
from .encoder_decoder_config import EncoderDecoderConfig
from .inputs import positions_of
from .outputs import Seq2SeqQuestionAnsweringModelOutput, Seq2SeqSequenceClassifierOutput
from .seq2seq_lm import EncoderOutput

__all__ = [
    "BartConfig", "BartForConditionalGeneration", "BartForQuestionAnswering",
    "BartForSequenceClassification",
]  # fmt: skip

# Rows of the position table before position 0, a habit of fairseq's padding id.
POSITION_OFFSET = 2


@dataclass(repr=False)
class BartConfig(EncoderDecoderConfig):
    """Sizes and options of a BART, with those of BART large as defaults."""

    model_type = "bart"
    inert = frozenset(
        """classif_dropout force_bos_token_to_be_generated replacing_rate save_step
        student_decoder_layers student_encoder_layers""".split()  # noqa: SIM905
    )
    fixed: ClassVar[dict[str, Any]] = {
        **EncoderDecoderConfig.fixed,
        "add_bias_logits": False,
        "add_final_layer_norm": False,
        "extra_pos_embeddings": POSITION_OFFSET,
        "normalize_before": False,
        "normalize_embedding": True,
        "static_position_embeddings": False,
    }
    dropout_fields = (*EncoderDecoderConfig.dropout_fields, "classifier_dropout")

    init_std: float = 0.02
    classifier_dropout: float = 0.0
    bos_token_id: int | None = 0
    pad_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    decoder_start_token_id: int | None = 2
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | list[int] | None = 2

    def __post_init__(self) -> None:
        if self.num_labels is None and not (self.id2label or self.label2id):
            self.num_labels = 3  # of the published classifier: contradiction, neutral, entailment
        super().__post_init__()


class BartPreTrainedModel(EncoderDecoderModel):
    """What all heads of BART share."""

    config_class = BartConfig
    config: BartConfig

    @classmethod
    def layout(cls, config: Any) -> Layout:
        """Learned positions, and a norm after the embeddings."""
        return Layout(
            lambda: nn.LearnedPositions(
                config.max_position_embeddings, config.d_model, POSITION_OFFSET
            ),
            norm_embedding=True,
        )


class BartForConditionalGeneration(BartPreTrainedModel, EncoderDecoderLM):
    """BART that writes text: summaries, translations, answers."""


class BartReader(BartPreTrainedModel, Encoder):
    """Base of heads that classify one text: the encoder reads it, and the decoder again, shifted.

    The decoder reads the same tokens behind a start token, so that its state at each token has
    seen all of the text.
    """

    def build(self, config: BartConfig) -> None:
        self.model = EncoderDecoder(config, self.layout(config))

    def hidden_rows(self, rows: Rows) -> Tensor:
        """The decoder's states (N, C).

        As in transformers, a token that a mask hides between two others is hidden from the
        encoder only: the decoder reads all from a row's first token to its last.
        """
        sequences = rows.sequences
        with nn.part("encoder"):
            states = self.model.encoder(rows.ids, sequences, rows.positions)
        encoded = EncoderOutput(states, sequences)
        read = sequences.without_holes() if sequences.has_holes else sequences
        ids = read.rows_of(rows.batch)
        shifted = kernels.xp(ids).empty_like(ids)
        shifted[1:] = ids[:-1]
        shifted[kernels.asarray(read.first_rows(), ids)] = self.start_token
        if read is sequences:
            return self.model.decoder(shifted, read, rows.positions, encoded)
        own = kernels.xp(read.cu_seqlens).searchsorted(read.places(), sequences.places())
        positions = positions_of(read)
        positions[own] = rows.positions
        return functional.take_rows(self.model.decoder(shifted, read, positions, encoded), own)


class BartClassificationHead(nn.Module):
    """Logits (S, num_labels) of one state (S, C) for each sequence."""

    def __init__(self, config: BartConfig):
        C = config.d_model
        self.dense = nn.Linear(C, C, activation="tanh")
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.out_proj = nn.Linear(C, len(config.id2label or ()))

    def forward(self, x: Tensor) -> Tensor:
        """One layer with tanh, and one to the classes."""
        return self.out_proj(self.dropout(self.dense(self.dropout(x))))


class BartForSequenceClassification(BartReader, SequenceClassifier):
    """BART that classifies sequences by the decoder's state at their last end token.

    Parameters
    ----------
    config : BartConfig
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    output_class = Seq2SeqSequenceClassifierOutput
    __call__: Callable[..., Seq2SeqSequenceClassifierOutput]

    def build(self, config: BartConfig) -> None:
        super().build(config)
        self.classification_head = BartClassificationHead(config)

    def hidden_rows(self, rows: Rows) -> Tensor:
        """The states (S, C) that the head reads."""
        ends = last_rows_with(rows.ids, rows.sequences, self.config.eos_token_id)
        return functional.take_rows(super().hidden_rows(rows), ends)

    def sequence_logits(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """Logits (S, num_labels)."""
        return self.classification_head(x)


class BartForQuestionAnswering(BartReader, QuestionAnswerer):
    """BART that finds answers in a text. Parameters: see `BartForSequenceClassification`."""

    output_class = Seq2SeqQuestionAnsweringModelOutput
    __call__: Callable[..., Seq2SeqQuestionAnsweringModelOutput]

    def build(self, config: BartConfig) -> None:
        super().build(config)
        self.qa_outputs = nn.Linear(config.d_model, 2)


def last_rows_with(ids: Array, sequences: nn.Sequences, tokens: Any) -> Array:
    """The last row (S,) of each sequence that holds one of these tokens.

    Raises
    ------
    ShapeError : naming a sequence that holds none
    """
    xp = kernels.xp(ids)
    wanted = kernels.array_of([] if tokens is None else tokens).astype(ids.dtype)
    found = xp.zeros(len(ids) + 1, np.int64)  # how many such tokens stand before each row
    found[1:] = xp.isin(ids, kernels.asarray(wanted, ids)).cumsum()
    first = kernels.asarray(sequences.first_rows(), ids)
    end = kernels.asarray(sequences.last_rows(), ids) + 1
    if (found[end] == found[first]).any():
        row = int((found[end] == found[first]).argmax())
        raise ShapeError(
            f"input_ids: row {row} has no end token (eos_token_id = {tokens}), "
            "expected one, whose state is classified"
        )
    return xp.searchsorted(found, found[end]) - 1
