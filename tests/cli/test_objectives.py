"""`plainformer pretrain --objective ...`: each trains its models, resumes exactly, and is compared
with baselines; every flag of an objective does something."""

import json

import numpy as np
import pytest

import plainformer as pf
from plainformer.data.tokenizer import read_tokenizer, save_tokenizer, train_char, vocab_size
from plainformer.models.registry import MODELS
from plainformer.pretraining.options import MODEL_TASK_OF, OWN
from tests.models.numbers import GOLDEN

from .test_pretrain import run

SENTENCES = ["the quick brown fox jumps over the lazy dog", "a dog sleeps", "who is lazy? the fox!"]
CONFIGS = {
    "clm": {"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 8, "n_positions": 16},
    "mlm": {
        "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 16,
    },
    "span": {"model_type": "t5", "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1,
             "num_heads": 2},
    "denoise": {
        "model_type": "bart", "d_model": 8, "encoder_layers": 1, "decoder_layers": 1,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16,
        "decoder_ffn_dim": 16, "max_position_embeddings": 16,
    },
}  # fmt: skip
TOKENIZERS = {"clm": "bpe:270", "mlm": "wordpiece:60", "span": "bpe:380", "denoise": "bpe:270"}
OBJECTIVES = list(CONFIGS)


@pytest.fixture
def files(tmp_path):
    for name, config in CONFIGS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(config))
    rows = [{"text": f"{a}. {b}. {a}."} for a in SENTENCES for b in SENTENCES]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows * 2))
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:3]))
    return tmp_path


def flags_of(files, objective, /, **changes):
    flags = {
        "objective": objective,
        "data": files / "train.jsonl",
        "validation": files / "held.jsonl",
        "config": files / f"{objective}.json",
        "tokenizer": TOKENIZERS[objective],
        "block-size": 16,
        "output-dir": files / "out",
        "max-steps": 3,
        "per-device-train-batch-size": 2,
        "logging-steps": 1,
        "learning-rate": 0.01,
        **changes,
    }
    given = [(f"--{name}", value) for name, value in flags.items() if value is not None]
    return ["pretrain", "--json", *(part for pair in given for part in pair)]


def files_of(out):
    """What must be the same after a stop: weights, logs."""
    return [(out / name).read_bytes() for name in ("model.safetensors", "log.jsonl")]


FAMILIES = {}  # model_type: the contents of a config.json of tiny sizes
for path in sorted(GOLDEN.glob("*/config.json")):
    family = json.loads(path.read_text())
    FAMILIES.setdefault(family["model_type"], family)


@pytest.mark.parametrize(
    ("family", "objective"),
    [
        (f, o)
        for f in FAMILIES
        for o in OBJECTIVES
        if f in MODELS and MODEL_TASK_OF[o] in MODELS[f].models
    ],
)
def test_every_family_learns_every_objective_that_fits_it(files, family, objective):
    decided = ("vocab_size", "_token_id", "architectures")  # by tokenizer and objective
    config = {k: v for k, v in FAMILIES[family].items() if not k.endswith(decided)}
    (files / "family.json").write_text(json.dumps(config))
    flags = {"config": files / "family.json", "block-size": 8, "max-steps": 1}
    for words in ([], ["--packing"]):
        code, result, errors = run(*flags_of(files, objective, **flags), *words)
        assert code == 0, errors
        assert np.isfinite(result["eval_loss"])
        flags["output-dir"] = files / "packed"


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_run_leaves_a_model_and_figures_beside_baselines(files, objective, packing):
    words = ["--packing"] if packing else []
    code, result, errors = run(*flags_of(files, objective), *words)
    assert code == 0, errors
    assert {"eval_loss", "unigram_loss", "bigram_loss", "train_loss"} <= set(result)
    assert f"unigram loss {result['unigram_loss']:.4f}" in errors
    assert f"(unigram {result['unigram_loss']:.4f}, bigram {result['bigram_loss']:.4f})" in errors
    assert 0 < result["bigram_loss"] < result["unigram_loss"]
    model = pf.load(files / "out", MODEL_TASK_OF[objective])
    assert model.config.vocab_size == vocab_size(read_tokenizer(files / "out"))
    for name in ("bos_token_id", "eos_token_id"):
        assert getattr(model.config, name) is not None


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_stop_in_the_middle_of_an_epoch_changes_no_byte(files, objective):
    steps = {"save-steps": 2, "lr-scheduler-type": "constant", "gradient-accumulation-steps": 2}
    words = ["--packing"] if objective in ("clm", "span") else []
    whole = flags_of(files, objective, **steps, **{"max-steps": 7, "output-dir": files / "whole"})
    code, result, errors = run(*whole, *words)
    assert code == 0, errors
    assert 0 < result["epochs"] % 1 < 1
    for stop in (2, 5):
        part = flags_of(files, objective, **steps, **{"max-steps": stop})
        resume = [] if stop == 2 else ["--resume-from-checkpoint"]
        assert run(*part, *words, *resume)[0] == 0
    last = flags_of(files, objective, **steps, **{"max-steps": 7})
    code, resumed, errors = run(*last, *words, "--resume-from-checkpoint")
    assert code == 0, errors
    assert files_of(files / "out") == files_of(files / "whole")
    for name in ("eval_loss", "unigram_loss", "bigram_loss", "train_loss"):
        assert resumed[name] == result[name]


VALUES = {
    "mlm_probability": ["--mlm-probability", "0.6"],
    "whole_word_mask": ["--whole-word-mask"],
    "noise_density": ["--noise-density", "0.5"],
    "mean_span_length": ["--mean-span-length", "1"],
    "permute_sentences": ["--permute-sentences"],
    "packing": ["--packing"],
}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_flag_of_an_objective_changes_the_run(files, objective):
    assert run(*flags_of(files, objective))[0] == 0
    base = files_of(files / "out")
    for flag in ("packing", *OWN[objective]):
        code, _, errors = run(*flags_of(files, objective), *VALUES[flag], "--overwrite-output-dir")
        assert code == 0, errors
        assert files_of(files / "out") != base, flag


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_flag_of_another_objective_is_refused(files, objective):
    others = {flag for flags in OWN.values() for flag in flags} - set(OWN[objective])
    for flag in others:
        code, result, _ = run(*flags_of(files, objective), *VALUES[flag])
        assert code == 2
        assert (
            f"--{flag.replace('_', '-')}: has no effect with objective {objective}"
            in result["error"]
        )


@pytest.mark.parametrize(
    ("objective", "changes", "message"),
    [
        ("mlm", {"config": "clm.json"}, "mlm trains a masked-lm model, which gpt2 has not"),
        ("clm", {"config": "mlm.json"}, "clm trains a causal-lm model, which bert has not"),
        ("span", {"config": "mlm.json"}, "--objective: span trains a seq2seq-lm model"),
        ("mlm", {"tokenizer": "letters"}, "which objective mlm needs"),
        ("denoise", {"tokenizer": "letters"}, "which objective denoise needs"),
        ("span", {"tokenizer": "letters"}, "no end-of-text token, which objective span needs"),
        ("span", {"tokenizer": "bpe:300"}, "got bpe:300, expected at least 359"),
        ("mlm", {"mlm-probability": 1.5}, "--mlm-probability: got 1.5"),
        ("span", {"noise-density": 0}, "--noise-density: got 0.0"),
        ("denoise", {"mean-span-length": 0}, "--mean-span-length: got 0.0"),
        ("mlm", {"block-size": 2}, "--block-size: got 2, expected at least 3 for mlm"),
        ("mlm", {"block-size": 17}, "--block-size: got 17, expected 1 to the model's 16 positions"),
        ("span", {"block-size": 0}, "--block-size: got 0, expected at least 1"),
        ("span", {"max-length": 5}, "--max-length: has no effect here; set --block-size"),
    ],
    ids=str,
)  # fmt: skip
def test_what_does_not_fit_is_one_line_and_exit_code_2(files, objective, changes, message):
    save_tokenizer(train_char(map(chr, range(32, 127))), files / "letters")  # no special tokens
    places = ("clm.json", "mlm.json", "letters")
    changes = {name: files / value if value in places else value for name, value in changes.items()}
    code, result, errors = run(*flags_of(files, objective, **changes))
    assert code == 2, errors
    assert message in result["error"]


def test_an_objective_of_a_run_file_is_checked(files):
    (files / "run.yaml").write_text("objective: clip\n")
    code, result, _ = run(*flags_of(files, "clm", objective=None), "--run", files / "run.yaml")
    assert code == 2
    assert (
        "run.yaml:1: objective: 'clip' is not one of 'clm', 'mlm', 'span', 'denoise'"
        in result["error"]
    )


def test_packing_needs_to_know_where_documents_begin(files):
    assert run(*flags_of(files, "clm"))[0] == 0
    tokens = files / "out" / "tokens" / "train.bin"
    (files / "bare.bin").write_bytes(tokens.read_bytes())
    also = {"tokenizer": files / "out", "output-dir": files / "other", "validation": None}
    assert run(*flags_of(files, "clm", data=files / "bare.bin", **also))[0] == 0
    also["output-dir"] = files / "third"
    code, result, _ = run(*flags_of(files, "clm", data=files / "bare.bin", **also), "--packing")
    assert code == 2
    assert "packing: got tokens without an .idx file" in result["error"]
    assert run(*flags_of(files, "clm", data=tokens, **also), "--packing")[0] == 0


@pytest.mark.parametrize("objective", ["clm", "mlm"])
def test_a_packed_document_changes_no_byte_of_its_neighbours(files, objective):
    """Not of their logits, and not of the loss of their labels."""
    assert run(*flags_of(files, objective))[0] == 0
    model = pf.load(files / "out", MODEL_TASK_OF[objective])
    rng = np.random.default_rng(0)
    borders = np.array([0, 5, 12, 16, 31], np.int32)
    ids = rng.integers(5, model.config.vocab_size, (1, 31))
    key = "shift_labels" if objective == "clm" else "labels"
    labels = rng.integers(5, model.config.vocab_size, (1, 31))
    labels[:, 5:12] = -100  # the second document has none, only its neighbours
    changed = ids.copy()
    changed[:, 5:12] = rng.integers(5, model.config.vocab_size, (1, 7))
    outputs = [
        model(input_ids=x, cu_seqlens=borders, **{key: labels}, return_logits=True)
        for x in (ids, changed)
    ]
    losses = [np.asarray(output.loss).tobytes() for output in outputs]
    assert losses[0] == losses[1]
    logits = [np.asarray(output.logits) for output in outputs]
    outside = np.r_[0:5, 12:31]
    assert logits[0][:, outside].tobytes() == logits[1][:, outside].tobytes()
    assert logits[0][:, 5:12].tobytes() != logits[1][:, 5:12].tobytes()
    alone = model(input_ids=ids[:, 12:16], **{key: labels[:, 12:16]}, return_logits=True)
    assert np.asarray(alone.logits).tobytes() == logits[0][:, 12:16].tobytes()
