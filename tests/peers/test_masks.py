"""Attention masks with holes, with padding on either side and with empty rows: the same numbers.

A hole is a 0 between two 1s. It hides a token, which keeps its place: the distance between the
tokens around it stays, and so do their positions. Where transformers counts positions from a row's
first column, ours count from its first token, and padding on the left is given to it as positions.
"""

import numpy as np
import pytest

from plainformer.models import MODELS
from tests.models.tiny import ENCODERS, POOLING, VOCAB, make

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

AUTO = {
    "feature-extraction": "AutoModel",
    "sequence-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "masked-lm": "AutoModelForMaskedLM",
    "causal-lm": "AutoModelForCausalLM",
    "seq2seq-lm": "AutoModelForSeq2SeqLM",
}
CASES = [
    (family, task)
    for family, members in MODELS.items()
    for task in members.models
    if task in AUTO and family != "transformer"  # which only we have
]
MASKS = {
    "hole": [1, 1, 0, 1, 1, 1, 1],
    "holes": [1, 0, 0, 1, 1, 0, 1],
    "right": [1, 1, 1, 1, 0, 0, 0],
    "left": [0, 0, 1, 1, 1, 1, 1],
    "left-and-hole": [0, 1, 1, 0, 1, 1, 1],
    "right-and-hole": [1, 0, 1, 1, 1, 0, 0],
    "empty": [0, 0, 0, 0, 0, 0, 0],
}
PAD, END = 1, 3


def opened(family, task, folder):
    options = {} if family in ("bart", "marian", "t5") else {"pad_token_id": PAD}
    if family == "bart":
        options["eos_token_id"] = END
    if family == "qwen2":  # a window too counts columns
        options |= {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}
    model = make(family, task, **options).eval()
    model.save_pretrained(folder)
    if family == "t5" and task == "feature-extraction":
        kind = transformers.T5EncoderModel
    else:
        kind = getattr(transformers, AUTO[task])
    return model, kind.from_pretrained(folder, attn_implementation="eager").eval()


def batch_of(name, rng):
    """Ids and mask (3, 7): a whole row, the one with this mask, and a whole row.

    Padding at the ends has the id of padding, which some heads and RoBERTa's positions go by; a
    hole has a token. Every row ends with an end token.
    """
    mask = np.ones((3, 7), np.int64)
    mask[1] = MASKS[name]
    ids = rng.integers(4, VOCAB, mask.shape)
    inside = (
        np.maximum.accumulate(mask, axis=1) * np.maximum.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    )
    last = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
    ids[np.arange(3), last] = END
    return np.where(inside, ids, PAD), mask


def positions(mask):
    """What ours counts: columns from the row's first token on."""
    first = np.argmax(mask, axis=1)[:, None]
    return np.maximum(np.arange(mask.shape[1]) - first, 0)


def values(output, task):
    if task == "question-answering":
        return np.stack(
            [np.asarray(x.detach()) for x in (output.start_logits, output.end_logits)], -1
        )
    name = "last_hidden_state" if task == "feature-extraction" else "logits"
    return np.asarray(getattr(output, name).detach())


def skipped(family, task, name):
    """Where transformers has no such convention."""
    if "left" in name and family in ("distilbert", "bart", "marian"):
        return "counts positions from the first column, and takes none of a caller's"
    pooled = task == "sequence-classification" and family in ENCODERS
    if "left" in name and pooled:
        return "pools the first column, padding or not"
    pooled |= task == "feature-extraction" and family in POOLING
    if name == "empty" and (pooled or task == "sequence-classification" or family == "bart"):
        return "ours refuses: there is nothing to pool"
    return None


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize(("family", "task"), CASES, ids=lambda x: x)
def test_a_forward(tmp_path, rng, family, task, name):
    if (why := skipped(family, task, name)) is not None:
        pytest.skip(why)
    ours, peer = opened(family, task, tmp_path)
    ids, mask = batch_of(name, rng)
    inputs = {"input_ids": ids, "attention_mask": mask}
    if task == "seq2seq-lm":
        target, target_mask = batch_of(name, rng)
        inputs |= {"decoder_input_ids": target, "decoder_attention_mask": target_mask}
        mask = target_mask
    given = dict(inputs)
    if family in (
        "albert",
        "bert",
        "deberta-v2",
        "electra",
        "gpt2",
        "llama",
        "modernbert",
        "qwen2",
    ):
        given["position_ids"] = positions(mask)
    with torch.no_grad():
        expected = values(peer(**{k: torch.from_numpy(v) for k, v in given.items()}), task)
    found = values(ours(**inputs), task)
    kept = mask != 0 if found.ndim == 3 and found.shape[1] == mask.shape[1] else mask.any(axis=1)
    np.testing.assert_allclose(found[kept], expected[kept], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["hole", "holes", "left-and-hole", "right-and-hole"])
@pytest.mark.parametrize("stack", ["encoder", "decoder", "both"])
def test_gradients_of_position_biases(tmp_path, rng, name, stack):
    ours, peer = opened("t5", "seq2seq-lm", tmp_path)
    (source, mask), (target, target_mask) = batch_of(name, rng), batch_of(name, rng)
    inputs = {"input_ids": source, "decoder_input_ids": target}
    if stack != "decoder":
        inputs["attention_mask"] = mask
    if stack != "encoder":
        inputs["decoder_attention_mask"] = target_mask
    inputs["labels"] = np.where(target_mask, rng.integers(2, VOCAB, target.shape), -100)
    peer(**{k: torch.from_numpy(v) for k, v in inputs.items()}).loss.backward()
    ours(**inputs).loss.backward()
    expected = dict(peer.named_parameters())
    for key, parameter in ours.named_parameters():
        want = expected[key].grad.numpy()
        np.testing.assert_allclose(parameter.grad, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", [name for name in MASKS if name != "empty"])
@pytest.mark.parametrize("family", ["gpt2", "llama", "bart", "marian", "t5"])
def test_generation(tmp_path, rng, family, name, beams):
    if "left" in name and family in ("bart", "marian"):
        pytest.skip("counts positions from the first column")
    task = "causal-lm" if family in ("gpt2", "llama") else "seq2seq-lm"
    ours, peer = opened(family, task, tmp_path)
    ids, mask = batch_of(name, rng)
    if task == "causal-lm" and not mask[:, -1].all():
        pytest.skip("transformers goes on behind padding")
    options = {"max_new_tokens": 6, "num_beams": beams, "do_sample": False,
               "eos_token_id": END, "pad_token_id": PAD}  # fmt: skip
    inputs = {"input_ids": ids, "attention_mask": mask}
    expected = peer.generate(**{k: torch.from_numpy(v) for k, v in inputs.items()}, **options)
    found = np.asarray(ours.generate(**inputs, **options))
    prompt = ids.shape[1] if task == "causal-lm" else 0
    np.testing.assert_array_equal(found[:, prompt:], expected.numpy()[:, prompt:])
