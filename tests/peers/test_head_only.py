"""What transformers makes of a head that reads something else than its family's classes do."""

import numpy as np
import pytest

from plainformer import models
from tests.models.tiny import ENCODERS, batch_for, make

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()


@pytest.mark.parametrize("family", ENCODERS)
def test_the_directory_opens_and_its_states_are_the_same(tmp_path, family, rng):
    """Only the reading differs: the head on our mean of transformers' states gives our logits."""
    make(family, "sequence-classification", classifier_pooling="mean").eval().save_pretrained(
        tmp_path
    )
    peer, info = transformers.AutoModelForSequenceClassification.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert peer.config.classifier_pooling == "mean"
    unread = {"bert": "bert.pooler.dense", "albert": "albert.pooler"}.get(family)
    missing = {f"{unread}.weight", f"{unread}.bias"} if unread else set()
    assert set(info["missing_keys"]) == missing
    assert not info["unexpected_keys"]
    batch = batch_for("sequence-classification", rng)
    del batch["labels"]
    tensors = {k: torch.from_numpy(v) for k, v in batch.items()}
    body = peer.eval().base_model
    with torch.no_grad():
        states = body(**tensors).last_hidden_state
        mask = tensors["attention_mask"][..., None]
        mean = (states * mask).sum(1) / mask.sum(1)
        read = mean / mean.norm(dim=1, keepdim=True) * mean.shape[1] ** 0.5
        if family == "modernbert":  # its pooling is its own
            logits = peer.classifier(peer.head(mean))
        elif family == "deberta-v2":
            gelu = torch.nn.functional.gelu
            logits = peer.classifier(gelu(peer.pooler.dense(read)))
        elif family == "electra":
            gelu = torch.nn.functional.gelu
            logits = peer.classifier.out_proj(gelu(peer.classifier.dense(read)))
        elif hasattr(peer.classifier, "out_proj"):
            logits = peer.classifier.out_proj(peer.classifier.dense(read).tanh())
        elif family == "distilbert":
            logits = peer.classifier(peer.pre_classifier(read).relu())
        else:
            logits = peer.classifier(read)
    ours = models.load(tmp_path)(**batch).logits.data
    np.testing.assert_allclose(ours, logits.numpy(), rtol=1e-4, atol=1e-5)
