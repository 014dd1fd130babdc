"""Odd values for every argument of `generate` and `stream`: text, or one clear error.

A case draws a model, a few arguments, and for some of them values of another kind, range or depth.
What it may end in is text, or an error of ours that names one of the arguments given; never another
exception, a warning, more than two seconds or two GiB. The options come as arguments of the call,
as a `GenerationConfig`, or as the model's own `generation_config`.
"""

import functools
import itertools
import math
import resource
import signal
from pathlib import Path
from random import Random

import ml_dtypes
import numpy as np
import pytest

from plainformer.errors import NonFiniteError, PlainformerError
from plainformer.generation import GenerationConfig
from plainformer.generation.call import Call
from plainformer.generation.config import FIELDS, UNSUPPORTED
from plainformer.options import names_of
from tests.models.tiny import VOCAB, make

from .toy import Words

CASES, CASES_AT_NIGHT = 300, 10_000
SECONDS, MEMORY = 2.0, 2 << 30
MODELS = (("gpt2", "causal-lm"), ("llama", "causal-lm"), ("bart", "seq2seq-lm"),
          ("t5", "seq2seq-lm"))  # fmt: skip
CALL = ("input_ids", "attention_mask", "decoder_input_ids", "seed", "generation_config",
        "logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "tokenizer",
        "past_key_values", "streamer")  # fmt: skip


class Odd:
    """Has nothing that anything needs."""

    def __repr__(self):
        return "Odd()"


class Writer:
    def put(self, ids):
        pass

    def end(self):
        pass


# What makes sense for a name; all else is odd.
PLAIN = {
    "int": (0, 1, 2, 3, 5, 8, np.int64(3), np.uint8(2)),
    "float": (0.1, 0.5, 1.0, 1.5, 3.0, -1.0, np.float32(0.5), np.float64(2), 2),
    "flag": (True, False, np.True_),
    "id": (0, 1, 5, np.int64(3)),
    "ids": (0, 1, 5, [2, 3], (4,), np.array([1, 7]), [], range(3)),
    "words": ([[1]], [[1, 2], [3]], [(4, 5)], []),
    "input_ids": ([1, 2, 3], [[1, 2], [3, 4]], [[1], [2, 3]], np.array([[5, 6, 7]]), None),
    "attention_mask": ([1, 1, 1], [[0, 1], [1, 1]], np.ones((1, 3)), None),
    "stop_strings": ("<1", ["<2>", "<3"]),
    "early_stopping": (True, False, "never"),
    "sequence_bias": ([[[1], 2.0]], {(1, 2): -3.0}, [[[3], -math.inf]]),
    "exponential_decay_length_penalty": ((1, 1.5), [0, 2]),
    "generation_config": (GenerationConfig(max_new_tokens=4), GenerationConfig(top_k=3)),
    "logits_processor": ([lambda ids, logits: -logits], []),
    "stopping_criteria": ([lambda ids, scores: ids.shape[1] > 6], []),
    "prefix_allowed_tokens_fn": (lambda prompt, ids: [1, 2], lambda prompt, ids: range(9)),
    "tokenizer": (Words(),),
    "streamer": (Writer(),),
}
KINDS = {
    **{name: name for name in PLAIN if name not in ("int", "float", "flag", "ids", "words")},
    "decoder_input_ids": "input_ids", "bad_words_ids": "words", "force_words_ids": "words",
    **dict.fromkeys(("bos_token_id", "pad_token_id", "decoder_start_token_id",
                     "forced_bos_token_id"), "id"),
    **dict.fromkeys(("eos_token_id", "forced_eos_token_id", "suppress_tokens",
                     "begin_suppress_tokens"), "ids"),
    **dict.fromkeys(("do_sample", "use_cache", "renormalize_logits", "return_dict_in_generate",
                     "output_scores", "output_logits"), "flag"),
    **dict.fromkeys(("max_time", "length_penalty", "temperature", "top_p", "min_p",
                     "repetition_penalty", "encoder_repetition_penalty"), "float"),
}  # fmt: skip
NUMBERS = (
    -1, -7, 30, 31, 32, 100, 999, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**12,
    -(10**12), 10**30, 10**400, 10**5000, -0.0, 1e-300, 1e-30, 1e30, 1e38, 1e300, -1e300, 5e-324,
    math.nan, math.inf, -math.inf, True, False, np.int8(-3), np.uint64(2**63), np.float16(2),
    np.float32(np.inf), np.float64(np.nan), np.bool_(False), ml_dtypes.bfloat16(1.5), 2 + 3j,
    np.array(3), np.array(2.5),
)  # fmt: skip
OTHERS = (
    "", "a", "never", "1", "<1", "\ud800", "x" * 9999, b"ab", (), {}, {"a": 1}, {1, 2}, {(1,): 2.0},
    [None], [[]], [[[]]], [[1], [2, 3]], [["a"]], [1, "a"], [1.5], [-1], [31], [10**30], [[31]],
    [[1, -2]], [[1], 2], (1, 2), (1, 2, 3), ["a", 1], [[1, 2]], [[[1], [2, 3]], [[4]]],
    [[], [1]], [[1], "a"], [True], [np.int64(2)], [math.nan], [[math.nan, 1]], [[[1], math.nan]],
    [[[], 1.0]], [[[99], 1.0]], [[1, 10**400]], (0, 1e300), (0, 10**400), (-1, 2.0), (2, -3.0),
    (1, math.nan), (0, 0), np.zeros((2, 2)), np.zeros(0, np.int64), np.zeros((2, 0), np.int64),
    np.array(["a"]), np.array([None]), np.ones((1, 2, 3), np.int64), np.array([[0.5]]),
    np.array([2**63], np.uint64), list(range(300)), [[1]] * 300, object(), Odd(),
    lambda *a: None, lambda *a: [], lambda *a: [[1]], lambda *a: [99], lambda *a: "a",
    [None, print], [lambda i, x: None], [lambda i, x: i[:1]], [lambda i, x: 5.0],
    [lambda i, x: np.full((2, 31), np.nan, np.float32)],
    [lambda i, x: [True] * 50], [lambda i, x: "no"], Ellipsis, NotImplemented,
    range(2**40), iter([1]), (i for i in "ab"),
)  # fmt: skip
# Of the right kind, and further out than anybody goes.
EXTREMES = {
    "int": (
        0,
        1,
        30,
        31,
        999,
        4096,
        4097,
        10**6,
        2**31 - 1,
        2**31,
        2**63,
        10**12,
        10**400,
        np.int64(2**62),
        np.uint64(2**63),
    ),
    "float": (
        1e-300,
        5e-324,
        1e-30,
        1e-9,
        1e9,
        1e30,
        1e38,
        1e300,
        -1e300,
        10**12,
        -(10**12),
        10**400,
        np.float32(3e38),
        np.float16(6e4),
        -0.0,
        0.0,
        1,
        40,
        -40,
    ),
    "id": (0, 30, 31, 99, 2**31, 2**63, np.int8(30), np.uint64(2**63)),
    "ids": (
        0,
        30,
        31,
        [30, 31],
        list(range(31)),
        [1] * 300,
        [],
        np.arange(31),
        np.int8(5),
        [2**63],
        np.array([30]),
        range(31),
    ),
    "words": (
        [[30]],
        [[31]],
        [[i] for i in range(31)],
        [[1] * 300],
        [[1, 2]] * 50,
        [list(range(31))],
    ),
    "flag": (True, False, np.True_, 0, 1),
}
NAMES = (*FIELDS, *CALL)
BESIDE = {
    **{n: {"do_sample": True} for n in ("temperature", "top_k", "top_p", "min_p", "seed")},
    **{n: {"num_beams": 3} for n in ("length_penalty", "early_stopping", "renormalize_logits")},
    "num_return_sequences": {"do_sample": True},
    "stop_strings": {"tokenizer": Words()},
    "output_scores": {"return_dict_in_generate": True},
    "output_logits": {"return_dict_in_generate": True},
    "bos_token_id": {"input_ids": None},
}


def plain(random, name):
    if name == "past_key_values":
        return None
    return random.choice(PLAIN[KINDS.get(name, "int")])


def odd(random, name):
    near = EXTREMES.get(KINDS.get(name, "int"))
    if near is not None and random.random() < 0.6:
        return random.choice(near)
    value = random.choice(random.choice((NUMBERS, OTHERS)))
    for _ in range(random.choice((0, 0, 0, 0, 1, 2))):
        value = random.choice(([value], [value, value], (1, value), {"a": value}))
    return value


@functools.cache
def models():
    return [make(family, task, eos_token_id=5) for family, task in MODELS]


def drawn(random):
    """Arguments of a call, some of them odd, and which those are."""
    names = set(random.sample(NAMES, random.randint(2, 4)))
    strange = set(random.sample(sorted(names), random.choice((1, 1, 1, 2))))
    names.add("input_ids")
    values = {n: (odd if n in strange else plain)(random, n) for n in sorted(names)}
    if random.random() < 0.8:  # what options need to have an effect
        for name in names & BESIDE.keys():
            values = {**BESIDE[name], **values}
    if random.random() < 0.1:
        values[random.choice((*UNSUPPORTED, "tmperature", "x" * 500))] = odd(random, "")
    return values


def run(random):
    """One case; the names that its error may mention."""
    model, values = random.choice(models()), drawn(random)
    given = dict(values)
    where = random.choice(("call", "call", "config", "model"))
    model.generation_config = GenerationConfig()
    if where != "call":
        options = {n: given.pop(n) for n in list(given) if n in FIELDS}
        config = GenerationConfig(**options)
        if where == "model":
            model.generation_config = config
        else:
            given["generation_config"] = config
    # A number of tokens may be any: that text is long is no fault.
    if not {"stopping_criteria", "max_new_tokens"} & given.keys():
        given["max_new_tokens"] = 6
    given.setdefault("stopping_criteria", [lambda ids, scores: ids.shape[1] > 20])
    if random.random() < 0.3:
        given.pop("streamer", None)
        for _ in itertools.islice(model.stream(**given), 20):
            pass
    else:
        model.generate(**given)


def describe(number):
    random = Random(f"generate:{number}")
    random.choice(models())
    return drawn(random)


class TooSlowError(BaseException):
    pass


def too_slow(*_):
    raise TooSlowError


def attempt(number):
    """What went wrong in a case, None if nothing did."""
    try:
        run(Random(f"generate:{number}"))
    except PlainformerError as error:
        message = str(error)
        names = (
            *NAMES,
            *FIELDS,
            *names_of(Call),
            *UNSUPPORTED,
            "logits",
            "tmperature",
            "x" * 20,
            "position",
        )
        is_clear = any(name in message for name in names) and len(message) < 500
        return None if is_clear or isinstance(error, NonFiniteError) else f"unclear: {message}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return None


def check(first, count):
    models()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    before, faults = signal.signal(signal.SIGPROF, too_slow), []
    try:
        for number in range(first, first + count):
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            fault = attempt(number)
            signal.setitimer(signal.ITIMER_PROF, 0)
            if fault is not None:
                faults.append(f"case {number}: {fault}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        for model in models():
            model.generation_config = GenerationConfig()
    return faults


@pytest.mark.filterwarnings("error")
def test_text_or_one_clear_error():
    faults = check(0, CASES)
    assert not faults, f"{len(faults)} of {CASES}\n" + "\n".join(faults[:10])


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_text_or_one_clear_error_at_length():
    faults = check(CASES, CASES_AT_NIGHT)
    assert not faults, f"{len(faults)} of {CASES_AT_NIGHT}\n" + "\n".join(faults[:10])


def test_every_option_has_a_rule_and_every_rule_a_case():
    assert {*FIELDS, *names_of(Call)} <= set(NAMES)
    seen = set().union(*(describe(number) for number in range(CASES)))
    assert set(NAMES) <= seen
    assert VOCAB == 31  # the odd ids above are beside its border
