"""`--run F.yaml`: words and numbers mean there what they mean on the command line."""

import json

import click
import pytest

from plainformer.cli import COMMANDS, main
from plainformer.cli._common import FilesOption
from plainformer.cli._run_file import with_run_file
from plainformer.cli._yaml import YamlError, compose, parse_object, value_of

# What YAML 1.1 reads as another thing than its text, and what options make numbers of.
TEXTS = [
    "1", "7", "-1", "+3", "010", "0x1f", "0o17", "1_000", "1e-3", "1e5", "1E5", ".5", "5.",
    "-.5e-2", "1:30", "2024-01-01", "no", "yes", "on", "off", "No", "y", "n", "true", "false",
    "True", "NaN", ".nan", ".inf", "inf", "word", "two words", "=", "<<", "a/b.txt", "steps",
    "clm", "cosine", "bpe:300", "1.2.3", "12e", "1__0", "_1", "~/x", "nullable",
]  # fmt: skip
OBJECTS = [
    '{"power": 2}', '{"a": 1e-3}', "{a: 1e-3, b: no}", '{"a": "no", "b": no}',
    '{"a": .5, "b": 010}', '{"a": [1, "1", 1e5, true, null, yes]}', '{"a": {"b": 1_000}}',
    '{"010": 1}', "{}", '{"a": 1:30}', "{a: 2024-01-01}", '{"a": "1e-3"}',
    '{"a": -7, "b": +7, "c": ~}',
]  # fmt: skip


def commands():
    """Every command that takes --run."""
    for name in COMMANDS:
        command = main.get_command(None, name)
        if any(p.name == "run_file" for p in getattr(command, "params", ())):
            yield name, command


TAKERS = dict(commands())
OPTIONS = [
    (name, option.name)
    for name, command in TAKERS.items()
    for option in command.params
    if isinstance(option, click.Option) and option.name not in ("run_file", "json", "sweep")
]
POSITIONAL = {"pretrain": [], "finetune": ["ner"]}


def result_of(name, words, file=None, option=None):
    """The values of a command's flags, or that they are refused; of all, or of one alone."""
    command, positional = TAKERS[name], POSITIONAL[name]
    if option is not None:  # the same object in a small command: seventy take long to parse
        command, positional = type(command)(name, params=[option]), []
    try:
        with command.make_context(name, [*positional, *words]) as context:
            flags = {k: v for k, v in context.params.items() if k not in ("run_file", "task")}
            return with_run_file(flags, file)
    except click.UsageError:
        return "refused"


def same(a, b):
    """Equal, and of the same kind: 1 is not True, and NaN is NaN."""
    return repr(a) == repr(b)


def test_there_are_such_commands():
    assert set(TAKERS) == {"pretrain", "finetune"}
    assert len(OPTIONS) > 120


@pytest.fixture
def both(tmp_path):
    """Asks one option of a command: what its flag gives, what its line in a file gives."""

    def ask(name, option, words, text):
        [found] = [p for p in TAKERS[name].params if p.name == option]
        (tmp_path / "run.yaml").write_text(f"{option}: {text}\n")
        told = result_of(name, words, option=found)
        return result_of(name, [], tmp_path / "run.yaml", option=found), told

    return ask


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_reads_the_same_from_both(both, name, option):
    [found] = [p for p in TAKERS[name].params if p.name == option]
    if found.is_flag:
        for flag, texts in ((found.opts[0], ON), (found.secondary_opts[0], OFF)):
            for text in texts:
                read, told = both(name, option, [flag], text)
                assert same(read, told), text
        assert both(name, option, [], "maybe")[0] == "refused"
        return
    objects = OBJECTS if "JSON" in (found.metavar or "") else []
    taken = 0
    for text in TEXTS + objects:
        if option == "resume_from_checkpoint" and (text.lower() in ON + OFF or text[0] == "-"):
            continue  # see below; click takes no such path
        read, told = both(name, option, [f"{found.opts[0]}={text}"], text)
        assert same(read, told), (text, read, told)
        taken += told != "refused"
        if text in TEXTS[::3]:  # quoted, where it makes no difference either
            read, told = both(name, option, [f"{found.opts[0]}={text}"], json.dumps(text))
            assert same(read, told), text
    assert taken
    for empty in ("", "~", "null"):
        assert both(name, option, [], empty) == ({}, {})
    read, told = both(name, option, [f"{found.opts[0]}=null"], '"null"')
    assert same(read, told)


ON, OFF = ["yes", "true", "on", "y", "1", "True"], ["no", "false", "off", "n", "0", "No"]


@pytest.mark.parametrize("name", TAKERS)
def test_resuming_may_be_a_word_or_a_path(both, name):
    for text in ON:
        read, told = both(name, "resume_from_checkpoint", ["--resume-from-checkpoint"], text)
        assert read == told == {"resume_from_checkpoint": True}
    for text in OFF:
        assert both(name, "resume_from_checkpoint", [], text) == ({}, {})


@pytest.mark.parametrize("name", TAKERS)
def test_a_sweep_reads_the_same_from_both(name, tmp_path):
    file, told = tmp_path / "run.yaml", ["seed=1,2", "save-strategy=no,epoch"]
    file.write_text(f"sweep: {json.dumps(told)}\n")
    words = [word for text in told for word in ("--sweep", text)]
    wanted = {"sweep": {"seed": [1, 2], "save_strategy": ["no", "epoch"]}}
    assert result_of(name, [], file) == result_of(name, words) == wanted


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_lists_are_repeated_flags(both, name, option):
    [found] = [p for p in TAKERS[name].params if p.name == option]
    words = [word for text in ("no", "1e-3", "010") for word in (found.opts[0], text)]
    read, told = both(name, option, words if found.multiple else [], "[no, 1e-3, 010]")
    wanted = {option: ("no", "1e-3", "010")}
    assert (read, told) == ((wanted, wanted) if found.multiple else ("refused", {}))
    if isinstance(found, FilesOption):
        words = [found.opts[0], "no", "1e-3", "010"]
        assert both(name, option, words, "\n- no\n- 1e-3\n- 010") == (wanted, wanted)


def test_flags_on_the_command_line_win(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("--max-steps: 7\nlearning_rate: 1e-3\nsave-strategy: no\nbf16: yes\n")
    assert result_of("pretrain", ["--max-steps", "3", "--no-bf16"], file) == {
        "max_steps": 3, "learning_rate": 0.001, "save_strategy": "no", "bf16": False,
    }  # fmt: skip


LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2\n", "run.yaml:2: 'seed' stands twice"),
        ("max-steps: 1\nmax_steps: 2\n", "run.yaml:2: 'max_steps' stands twice"),
        (LAUGHS, r"run.yaml:1: anchors and aliases \(&, \*\) are not supported"),
        ("seed: !!python/object/apply:os.system [ls]\n", "run.yaml:1: the tag '.*' is not"),
        ("seed: !!int 3\n", "run.yaml:1: the tag"),
        ("- seed\n", "run.yaml:1: expected flags as `name: value` lines"),
        ("seed\n", "run.yaml:1: expected flags as `name: value` lines"),
        ("[a]: 1\n", "run.yaml:1: expected a word before the colon"),
        ("seed: 1\n---\nseed: 2\n", r"run.yaml:2: is no YAML: but found another document"),
        ("seed: [1\n", "run.yaml:2: is no YAML: expected"),
        ("seed: \x07\n", "run.yaml: is no YAML: special characters are not allowed"),
        ("seed: x\n", "run.yaml:1: seed: 'x' is not a valid integer"),
        ("seed: {a: 1}\n", "run.yaml:1: seed: got an object, expected a value"),
        ("seed: [1]\n", "run.yaml:1: seed: got a list, expected one value"),
        ("data: [[a]]\n", "run.yaml:1: data: got a list of lists or objects, expected words"),
        ("lr_scheduler_kwargs: 3\n", "run.yaml:1: lr_scheduler_kwargs: got '3', expected name="),
        ("lr_scheduler_kwargs: {a: 1, a: 2}\n", "run.yaml:1: 'a' stands twice"),
        ("lr_scheduler_kwargs: " + "[" * 100 + "\n", "run.yaml:1: nested too deep"),
        ("seed: " + "1" * 300_000 + "\n", "run.yaml: got 3000.. characters, expected at most"),
        ("sed: 1\n", "run.yaml:1: 'sed' is not a flag of this command; did you mean --seed?"),
        ("no_bf16: true\n", "run.yaml:1: 'no_bf16' is written bf16: false in a file"),
        ("run: run.yaml\n", "run.yaml:1: 'run' goes on the command line, not into a file"),
        ("--json: true\n", "run.yaml:1: '--json' goes on the command line, not into a file"),
        (b"seed: \xff\n", "run.yaml: not UTF-8"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_its_place(tmp_path, text, message):
    file = tmp_path / "run.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with (
        TAKERS["pretrain"].make_context("pretrain", []) as context,
        pytest.raises(click.UsageError, match=message) as error,
    ):
        with_run_file({k: v for k, v in context.params.items() if k != "run_file"}, file)
    assert "\n" not in error.value.message
    assert len(error.value.message) < 400


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~\n", "\ufeffseed: 1\n"])
def test_empty_files_and_byte_order_marks_are_fine(tmp_path, text):
    file = tmp_path / "run.yaml"
    file.write_text(text, encoding="utf-8")
    assert result_of("pretrain", [], file) == ({"seed": 1} if "seed" in text else {})


@pytest.mark.parametrize(
    "value",
    [{"a": 1, "b": [1.5, "x", None, True, False, -3e-7]}, {"a": {"b": {"c": "no"}}}, {"é": "\n"},
     {"": "", "a b": "010", "k": 1e300, "n": 10**30}],
)  # fmt: skip
def test_json_is_read_as_json(value):
    assert same(parse_object(json.dumps(value)), value)
    assert same(parse_object(json.dumps(value, ensure_ascii=False)), value)


def test_block_texts_and_comments_are_texts():
    node = compose("a: |\n  1e-3\nb: >-\n  no\nc: 'yes' # so\nd: null # nothing\n")
    assert value_of(node) == {"a": "1e-3\n", "b": "no", "c": "yes", "d": None}


@pytest.mark.parametrize("text", ["[1]", "3", "", "{a: &x 1}", "{", "{a: 1} b"])
def test_flags_that_want_an_object_refuse_others(text):
    with pytest.raises(YamlError):
        parse_object(text)
