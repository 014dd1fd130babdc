"""Classifiers of sequences, of tokens, of spans and of choices, on any encoder or decoder.

A family adds `hidden_rows` and the logits of its head, see `bert.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from .. import functional, kernels
from ..errors import ConfigError
from ..nn import Dropout, Linear, Sequences
from ..tensor import Tensor
from . import heads
from .encoder import Encoder
from .inputs import as_ids, check_items, counted, sequences_of
from .outputs import (
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)


class SequenceClassifier(Encoder):
    """Base of models that give each sequence a class, several, or a number."""

    model_task = "sequence-classification"
    output_class: ClassVar[type[SequenceClassifierOutput]] = SequenceClassifierOutput
    __call__: Callable[..., SequenceClassifierOutput]

    def sequence_logits(self, x: Tensor, sequences: Sequences) -> Tensor:
        """Logits (S, num_labels) of states (N, C)."""
        raise NotImplementedError(f"{type(self).__name__} defines no sequence_logits")

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        *,
        position_ids: Any = None,
        cu_seqlens: Any = None,
        class_weight: Any = None,
        num_items_in_batch: int | None = None,
        label_smoothing: float = 0.0,
        return_logits: bool = True,
    ) -> SequenceClassifierOutput:
        """Logits (B, num_labels), and with labels the loss. See `Encoder` for other arguments.

        Parameters
        ----------
        labels : what `problem_type` of the configuration says, or without it what fits:
            "single_label_classification" : classes (B,), -100 takes no part; cross entropy
            "multi_label_classification" : 0 or 1 (B, num_labels), floats; binary cross entropy
            "regression" : numbers (B,) or (B, num_labels), as where num_labels is 1; squared error
        class_weight : (num_labels,), what the losses of each class are multiplied with; not for
            regression
        num_items_in_batch : what the summed loss is divided by; None means the labels that count
        label_smoothing : probability spread evenly over the classes of a single label
        return_logits : False leaves them out
        """
        check_items(num_items_in_batch)
        with self.recording(labels is not None):
            rows = self.rows(input_ids, attention_mask, token_type_ids, position_ids, cu_seqlens)
            logits = self.sequence_logits(self.hidden_rows(rows), rows.sequences)
            loss = None
            if labels is not None:
                loss = heads.sequence_loss(
                    logits,
                    labels,
                    self.config.problem_type,
                    class_weight=class_weight,
                    num_items=num_items_in_batch,
                    label_smoothing=label_smoothing,
                )
        return self.output_class(loss, logits=logits if return_logits else None)

    def count_labels(self, batch: Mapping[str, Any]) -> int:
        """How many labels of a batch (the arguments of a call) enter the loss."""
        return heads.count_class_labels(batch["labels"])


class TokenClassifier(Encoder):
    """Base of models that give each token a class."""

    model_task = "token-classification"
    __call__: Callable[..., TokenClassifierOutput]
    dropout: Dropout
    classifier: Linear

    def token_logits(self, x: Tensor) -> Tensor:
        """Logits (N, num_labels) of states (N, C)."""
        return self.classifier(self.dropout(x))

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        *,
        position_ids: Any = None,
        cu_seqlens: Any = None,
        class_weight: Any = None,
        num_items_in_batch: int | None = None,
        label_smoothing: float = 0.0,
        return_logits: bool = True,
    ) -> TokenClassifierOutput:
        """Logits (B, L, num_labels), and with labels the loss. See `Encoder` for other arguments.

        Parameters
        ----------
        labels : classes (B, L); -100 takes no part, nor does padding
        class_weight : (num_labels,), what the losses of each class are multiplied with
        num_items_in_batch : what the summed loss is divided by; None means the labels that count
        label_smoothing : probability spread evenly over the classes
        return_logits : False leaves them out
        """
        check_items(num_items_in_batch)
        with self.recording(labels is not None):
            rows = self.rows(input_ids, attention_mask, token_type_ids, position_ids, cu_seqlens)
            y = self.token_logits(self.hidden_rows(rows))
            loss = None
            if labels is not None:
                loss = heads.classification_loss(
                    y,
                    heads.token_labels(rows.sequences, labels),
                    class_weight=class_weight,
                    num_items=num_items_in_batch,
                    label_smoothing=label_smoothing,
                )
            logits = rows.sequences.batch_of(y) if return_logits else None
        return TokenClassifierOutput(loss, logits=logits)

    def count_labels(self, batch: Mapping[str, Any]) -> int:
        """How many labels of a batch (the arguments of a call) enter the loss."""
        return heads.count_token_labels(batch)


class QuestionAnswerer(Encoder):
    """Base of models that find where in a text an answer starts and ends."""

    model_task = "question-answering"
    output_class: ClassVar[type[QuestionAnsweringModelOutput]] = QuestionAnsweringModelOutput
    __call__: Callable[..., QuestionAnsweringModelOutput]
    qa_outputs: Linear

    def span_rows(self, x: Tensor) -> Tensor:
        """Logits (N, 2) of states (N, C), for start and end."""
        return self.qa_outputs(x)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        start_positions: Any = None,
        end_positions: Any = None,
        *,
        position_ids: Any = None,
        num_items_in_batch: int | None = None,
        label_smoothing: float = 0.0,
        return_logits: bool = True,
    ) -> QuestionAnsweringModelOutput:
        """Start and end logits (B, L), and with positions the loss. See `Encoder` for the others.

        Padding has the lowest finite logits, and no share in the loss.

        Parameters
        ----------
        start_positions, end_positions : columns (B,); one outside of the row, or in its padding,
            takes no part
        num_items_in_batch : what the summed loss is divided by; None means the answers that count
        label_smoothing : 0; a span has no classes to spread a probability over
        return_logits : False leaves them out
        """
        check_items(num_items_in_batch)
        if label_smoothing:
            raise ConfigError(f"label_smoothing: got {label_smoothing}, spans of text have none")
        has_labels = start_positions is not None or end_positions is not None
        with self.recording(has_labels):
            rows = self.rows(input_ids, attention_mask, token_type_ids, position_ids)
            start, end = heads.span_logits(self.span_rows(self.hidden_rows(rows)), rows.sequences)
            loss = None
            if has_labels:
                loss = heads.span_loss(
                    start, end, start_positions, end_positions, num_items_in_batch, rows.sequences
                )
        if not return_logits:
            return self.output_class(loss)
        return self.output_class(loss, start_logits=start, end_logits=end)

    def count_labels(self, batch: Mapping[str, Any]) -> int:
        """How many answers of a batch (the arguments of a call) enter the loss."""
        rows = sequences_of(as_ids("input_ids", batch["input_ids"]), batch.get("attention_mask"))
        return heads.count_span_labels(batch["start_positions"], rows)


class ChoiceClassifier(Encoder):
    """Base of models that choose between several texts."""

    model_task = "multiple-choice"
    __call__: Callable[..., MultipleChoiceModelOutput]

    def sequence_logits(self, x: Tensor, sequences: Sequences) -> Tensor:
        """Logits (S, 1) of states (N, C)."""
        raise NotImplementedError(f"{type(self).__name__} defines no sequence_logits")

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        *,
        position_ids: Any = None,
        num_items_in_batch: int | None = None,
        label_smoothing: float = 0.0,
        return_logits: bool = True,
    ) -> MultipleChoiceModelOutput:
        """Logits (B, choices), and with labels the loss. See `Encoder` for the other arguments.

        Parameters
        ----------
        input_ids, attention_mask, token_type_ids, position_ids : (B, choices, L), or
            `nn.RaggedRows` whose `group` is the number of choices
        labels : the right choice (B,); -100 takes no part
        num_items_in_batch : what the summed loss is divided by; None means the labels that count
        label_smoothing : probability spread evenly over the choices
        return_logits : False leaves them out
        """
        check_items(num_items_in_batch)
        ids, choices = heads.as_choices("input_ids", input_ids)
        beside = [
            None if given is None else heads.as_choices(name, given)[0]
            for name, given in (
                ("attention_mask", attention_mask),
                ("token_type_ids", token_type_ids),
                ("position_ids", position_ids),
            )
        ]
        with self.recording(labels is not None):
            rows = self.rows(ids, *beside)
            logits = self.sequence_logits(self.hidden_rows(rows), rows.sequences)
            logits = functional.reshape(logits, (len(ids) // choices, choices))
            loss = None
            if labels is not None:
                loss = heads.classification_loss(
                    logits,
                    heads.class_labels("labels", labels, len(logits)),
                    num_items=num_items_in_batch,
                    label_smoothing=label_smoothing,
                )
        return MultipleChoiceModelOutput(loss, logits=logits if return_logits else None)

    def count_labels(self, batch: Mapping[str, Any]) -> int:
        """How many labels of a batch (the arguments of a call) enter the loss."""
        return counted(kernels.array_of(batch["labels"]))
