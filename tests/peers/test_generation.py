"""Greedy decoding and beam search in transformers and here: the same tokens, the same scores.

`python -m tests.peers.test_generation` writes the golden fixture of the default suite.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import plainformer as pf  # noqa: E402
from plainformer.models import MODELS  # noqa: E402
from tests.generation.test_golden import DIRECTORY, EXPECTED  # noqa: E402

torch.set_num_threads(1)  # tiny models: threads only wait for one another
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

V, PAD = 31, 30
IDS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": PAD}
TARGETS = {**IDS, "decoder_start_token_id": 2, "forced_eos_token_id": None}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {
        "model_type": "gpt2", "n_positions": 20, "n_embd": 8, "n_layer": 2, "n_head": 2,
        "tie_word_embeddings": False,
    },
    "llama": {
        "model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 40,
    },
    "qwen2": {
        "model_type": "qwen2", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 40,
    },
    "qwen3": {
        "model_type": "qwen3", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 40,
        "head_dim": 8,
    },
    "mistral": {
        "model_type": "mistral", "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 40, "sliding_window": 4,
    },
    "phi3": {
        "model_type": "phi3", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 40,
        "original_max_position_embeddings": 10,  # which texts of 6 and 12 tokens grow past
        "rope_parameters": {
            "rope_type": "longrope", "rope_theta": 500.0, "short_factor": [1.0, 1.5],
            "long_factor": [2.0, 5.0],
        },
    },
    "gemma2": {
        "model_type": "gemma2", "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 40, "head_dim": 8, "sliding_window": 4,
        "query_pre_attn_scalar": 8, "final_logit_softcapping": 5.0, "tie_word_embeddings": False,
    },
    "gemma3": {
        "model_type": "gemma3_text", "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 40, "head_dim": 8, "sliding_window": 4,
        "query_pre_attn_scalar": 8, "tie_word_embeddings": False,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "bart": {
        "model_type": "bart", "d_model": 16, "encoder_layers": 1, "decoder_layers": 2,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24, "max_position_embeddings": 40, **TARGETS,
    },
    "marian": {
        "model_type": "marian", "d_model": 16, "encoder_layers": 1, "decoder_layers": 2,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24, "max_position_embeddings": 40, **TARGETS,
    },
    "t5": {
        "model_type": "t5", "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2,
        "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, **TARGETS,
    },
}  # fmt: skip
SEQ2SEQ = ("bart", "marian", "t5")
WRITE_PADDING = ("qwen3", "mistral", "phi3", "gemma2", "gemma3")
WALKED = ("gpt2", "bart")  # with every case; the others with one in five, they share the code

ENDS: tuple[Any, ...] = (None, 7, [4, 8, 13, 20, 22, 26])
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_beams": 3},
    {"num_beams": 4, "num_return_sequences": 3},
    {"num_beams": 4, "length_penalty": 2.0},
    {"num_beams": 4, "length_penalty": -1.0},
    {"num_beams": 3, "length_penalty": 0.0, "early_stopping": "never"},
    {"num_beams": 4, "early_stopping": "never", "length_penalty": 1.5},
    {"num_beams": 4, "early_stopping": True},
    {"repetition_penalty": 1.7},
    {"no_repeat_ngram_size": 2},
    {"num_beams": 3, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
    {"encoder_repetition_penalty": 1.8},
    {"encoder_no_repeat_ngram_size": 2, "num_beams": 2},
    {"bad_words_ids": [[3], [5, 7], [1, 2, 3]]},
    {"num_beams": 3, "bad_words_ids": [[3], [5, 7]]},
    {"sequence_bias": [[[3], 2.5], [[5, 6], -1.0]]},
    {"suppress_tokens": [1, 2, 3, 4, 9]},
    {"begin_suppress_tokens": list(range(20)), "num_beams": 2},
    {"forced_bos_token_id": 4},
    {"forced_eos_token_id": 9, "num_beams": 3},
    {"min_new_tokens": 6, "eos_token_id": list(range(8))},
    {"min_length": 9, "num_beams": 3, "eos_token_id": list(range(8))},
    {"exponential_decay_length_penalty": (2, 1.4), "eos_token_id": [4]},
    # Not 1: transformers then counts padding as a token that the text has, and bans its id.
    {"renormalize_logits": True, "num_beams": 3, "no_repeat_ngram_size": 2},
]


def build(family: str, folder: Path) -> tuple[Any, Any]:
    """Transformers' model with weights that make every token matter, and ours of its files."""
    values = {"vocab_size": V, **IDS, **FAMILIES[family]}
    config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
    kind = "AutoModelForSeq2SeqLM" if family in SEQ2SEQ else "AutoModelForCausalLM"
    model = getattr(transformers, kind).from_config(config).eval()
    rng = np.random.default_rng(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and not ("embed_positions" in name and family == "marian"):
                drawn = 1.5 * rng.standard_normal(parameter.shape) / parameter.shape[-1] ** 0.5
                parameter.copy_(torch.from_numpy(drawn))
    model.save_pretrained(folder)
    return model, pf.load(folder)


def prompts(family: str, trial: int) -> tuple[np.ndarray, np.ndarray]:
    """Three rows, in odd trials padded: decoders on the left, encoders on the right."""
    rng = np.random.default_rng(trial)
    ids = rng.integers(3, PAD, (3, 6))
    lengths = np.array([6, 3, 5] if trial % 2 else [6, 6, 6])
    mask = np.arange(6) < lengths[:, None]
    mask = mask if family in SEQ2SEQ else mask[:, ::-1]
    return np.where(mask, ids, PAD), mask.astype(np.int64)


def trials(family: str, options: dict[str, Any]) -> tuple[int, ...]:
    """With and without padding; this penalty favors the padding id too in transformers.

    There pairs of padding and the first token are banned, too, which matters to models that write
    the padding's id; and a batch is long for LongRoPE where its padded width is.
    """
    alone = "encoder_repetition_penalty" in options
    alone |= family == "phi3"
    alone |= "no_repeat_ngram_size" in options and family in WRITE_PADDING
    return (0,) if alone else (0, 1)


def theirs(model: Any, ids: np.ndarray, mask: np.ndarray, options: dict[str, Any]) -> Any:
    with torch.no_grad():
        return model.generate(
            torch.from_numpy(ids), attention_mask=torch.from_numpy(mask), do_sample=False,
            max_new_tokens=12, return_dict_in_generate=True, output_scores=True,
            output_logits=True, **options,
        )  # fmt: skip


def cases() -> list[dict[str, Any]]:
    """Every set of options with every kind of end."""
    with_ends = []
    for options in OPTIONS:
        for end in ENDS if "eos_token_id" not in options else ENDS[:1]:
            with_ends.append({**options, **({} if end is None else {"eos_token_id": end})})
    return with_ends


def pytest_generate_tests(metafunc):
    """Families, each with its cases."""
    if "options" in metafunc.fixturenames:
        pairs = [(f, c) for f in FAMILIES for c in cases()[:: 1 if f in WALKED else 5]]
        metafunc.parametrize(("pair", "options"), pairs, indirect=["pair"], ids=str)
    elif "pair" in metafunc.fixturenames:
        metafunc.parametrize("pair", FAMILIES, indirect=True)


@pytest.fixture(scope="module")
def pair(request, tmp_path_factory):
    if FAMILIES[request.param]["model_type"] not in MODELS:
        pytest.skip(f"{request.param} is not there yet")
    return request.param, *build(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.filterwarnings("ignore")
def test_tokens_and_scores_are_the_same(pair, options):
    family, model, own = pair
    for trial in trials(family, options):
        ids, mask = prompts(family, trial)
        wanted = theirs(model, ids, mask, options)
        found = own.generate(
            ids, 12, attention_mask=mask, return_dict_in_generate=True, output_scores=True,
            output_logits=True, **options,
        )  # fmt: skip
        np.testing.assert_array_equal(found.sequences, wanted.sequences.numpy())
        assert len(found.scores) == len(wanted.scores) or options.get("num_beams", 1) > 1
        running = np.ones(len(found.logits[0]), bool)
        for step, (a, b) in enumerate(zip(found.logits, wanted.logits)):
            if "num_beams" not in options:
                running = found.lengths > step
            np.testing.assert_allclose(a[running], b.numpy()[running], atol=1e-3)
        if "num_beams" in options:
            scores = wanted.sequences_scores.numpy()
            np.testing.assert_allclose(found.sequences_scores, scores, rtol=1e-4, atol=1e-5)
            np.testing.assert_array_equal(found.beam_indices, wanted.beam_indices.numpy())


def test_texts_end_at_all(pair):
    """The comparison would show little if no row ended early."""
    family, _, own = pair
    ids, _ = prompts(family, 0)
    lengths = [
        own.generate(ids, 12, eos_token_id=end, return_dict_in_generate=True).lengths
        for end in ENDS[1:]
    ]
    assert np.min(lengths) < 12


@pytest.mark.filterwarnings("ignore")
def test_generation_config_files_mean_the_same(pair, tmp_path):
    family, model, _ = pair
    model.generation_config.update(num_beams=3, no_repeat_ngram_size=2, max_length=11)
    model.save_pretrained(tmp_path)
    ids, mask = prompts(family, 1)
    options = {"attention_mask": torch.from_numpy(mask)}
    wanted = model.generate(torch.from_numpy(ids), **options).numpy()
    own = pf.load(tmp_path)
    np.testing.assert_array_equal(own.generate(ids, attention_mask=mask), wanted)
    own.save_pretrained(tmp_path / "again")
    opened = type(model).from_pretrained(tmp_path / "again")
    assert opened.generation_config.num_beams == 3
    np.testing.assert_array_equal(opened.generate(torch.from_numpy(ids), **options), wanted)
    model.generation_config.update(num_beams=None, no_repeat_ngram_size=None, max_length=None)


def write_golden() -> None:
    """The GPT-2 above and transformers' tokens for all cases, with and without padding in turn."""
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    model, _ = build("gpt2", DIRECTORY)
    (DIRECTORY / "model.safetensors").chmod(0o644)
    batches = [prompts("gpt2", trial) for trial in (0, 1)]
    found = []
    for number, options in enumerate(cases()):
        trial = trials("gpt2", options)[number % len(trials("gpt2", options))]
        output = theirs(model, *batches[trial], options)
        case = {"options": options, "prompts": trial, "new": output.sequences[:, 6:].tolist()}
        if "sequences_scores" in output:
            case["scores"] = [round(score, 5) for score in output.sequences_scores.tolist()]
        found.append(json.dumps(case))
    rows = [json.dumps([array.tolist() for array in batch]) for batch in batches]
    text = f'{{"prompts": [{", ".join(rows)}],\n"cases": [\n' + ",\n".join(found) + "\n]}\n"
    (DIRECTORY / EXPECTED).write_text(text)


if __name__ == "__main__":
    write_golden()
