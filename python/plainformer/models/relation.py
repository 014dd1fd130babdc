"""Relation extraction: the class of the relation between two entities, on the states of their
opening markers.

Soares, FitzGerald, Ling, Kwiatkowski, "Matching the Blanks: Distributional Similarity for Relation
Learning", ACL 2019, arXiv:1906.03158 (there "entity start"). transformers has no such head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import functional, kernels
from ..errors import ConfigError, ShapeError
from ..nn import Dropout, Linear, Sequences
from ..tensor import Array
from .encoder import Encoder
from .heads import count_class_labels, sequence_loss
from .inputs import check_items
from .outputs import SequenceClassifierOutput


class RelationClassifier(Encoder):
    """Base of models that classify the relation between two marked entities of a sequence."""

    model_task = "relation-extraction"
    __call__: Callable[..., SequenceClassifierOutput]

    dropout: Dropout
    classifier: Linear

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        entity_positions: Any = None,
        labels: Any = None,
        *,
        position_ids: Any = None,
        class_weight: Any = None,
        num_items_in_batch: int | None = None,
        label_smoothing: float = 0.0,
        return_logits: bool = True,
    ) -> SequenceClassifierOutput:
        """Logits (B, num_labels), and with labels the loss. See `Encoder` for other arguments.

        Parameters
        ----------
        entity_positions : (B, 2), the columns of the two opening markers, in the order of the
            relation's arguments
        labels : classes (B,), -100 takes no part
        class_weight : (num_labels,), what the losses of each class are multiplied with
        num_items_in_batch : what the summed loss is divided by; None means the labels that count
        label_smoothing : probability spread evenly over the classes
        return_logits : False leaves them out
        """
        check_items(num_items_in_batch)
        with self.recording(labels is not None):
            rows = self.rows(input_ids, attention_mask, token_type_ids, position_ids)
            index = marker_rows(entity_positions, rows.sequences)
            x = self.hidden_rows(rows)
            states = [functional.take_rows(x, index[:, i]) for i in (0, 1)]
            logits = self.classifier(self.dropout(functional.concatenate(states)))
            loss = None
            if labels is not None:
                loss = sequence_loss(
                    logits,
                    labels,
                    "single_label_classification",
                    class_weight=class_weight,
                    num_items=num_items_in_batch,
                    label_smoothing=label_smoothing,
                )
        return SequenceClassifierOutput(loss, logits=logits if return_logits else None)

    def count_labels(self, batch: Mapping[str, Any]) -> int:
        """How many labels of a batch (the arguments of a call) enter the loss."""
        return count_class_labels(batch["labels"])


def marker_rows(positions: Any, sequences: Sequences) -> Array:
    """The rows (B, 2) of columns (B, 2) of a batch.

    Raises
    ------
    ConfigError, ShapeError : no positions, another shape, a column outside or in the padding
    """
    if positions is None:
        raise ConfigError("entity_positions: got None, expected the columns of both markers")
    columns = kernels.array_of(positions)
    B, L = sequences.shape
    if columns.dtype.kind not in "iu" or columns.shape != (B, 2):
        raise ShapeError(
            f"entity_positions: got {columns.dtype} {columns.shape}, expected integers ({B}, 2)"
        )
    xp = kernels.xp(columns)
    wanted = xp.arange(B)[:, None] * L + columns
    places = kernels.asarray(sequences.places(), columns)
    rows = xp.minimum(xp.searchsorted(places, wanted), len(places) - 1)
    if ((columns < 0) | (columns >= L)).any() or (places[rows] != wanted).any():
        raise ShapeError("entity_positions: got a column outside of its sequence")
    return rows
