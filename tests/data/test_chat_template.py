"""Chat templates: pieces, the sandbox and its limits, what is learned, what stays text."""

import itertools
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from plainformer.data import (
    Document,
    Message,
    make_tokenizer,
    parse_spec,
    read_tokenizer,
    save_tokenizer,
    template_renderer,
)
from plainformer.data.chat_template import CHATML, Piece, chat_template, source_of
from plainformer.data.dialogues import DialogueEncoder
from plainformer.data.special_tokens import remember_options, tokenizer_options
from plainformer.errors import CheckpointError, ConfigError, DataError, PlainformerWarning
from tests.processes import run_python

from .templates import TEMPLATES

TURNS = [
    Message("user", "hi"),
    Message("assistant", " hello "),
    Message("user", "bye"),
    Message("assistant", "so long"),
]
BY_HAND = "{% for m in messages %}{{ m.role }}:{{ m.content }}<|im_end|>{% endfor %}"


@pytest.fixture(scope="module")
def tokenizer():
    made = make_tokenizer(parse_spec("bpe:300"), [Document("hello there, so long", "")])
    marks = {m for style in TEMPLATES.values() for m in style.special} | {"<|im_start|>"}
    made.add_special_tokens([AddedToken(mark, normalized=False) for mark in sorted(marks)])
    return made


def encoder(tokenizer, source, **tokens):
    return DialogueEncoder(tokenizer, chat_template(source, tokens))


def decoded(tokenizer, ids):
    return tokenizer.decode(ids.tolist(), skip_special_tokens=False)


def test_chatml_in_jinja_has_the_pieces_of_the_one_built_in():
    built_in, jinja = chat_template(CHATML), chat_template(CHATML + "{# another source #}")
    assert type(built_in) is not type(jinja)
    for turns in (TURNS, TURNS[:1], [Message("system", "be kind"), *TURNS]):
        for answers in (False, True):
            texts = [
                ["".join(p.text for p in pieces), [p for p in pieces if p.message is not None]]
                for pieces in (t.pieces(turns, answers) for t in (built_in, jinja))
            ]
            assert texts[0] == texts[1]


def test_contents_are_told_from_the_template_where_it_strips_them():
    pieces = chat_template("{% for m in messages %}[{{ m.content | trim }}]{% endfor %}").pieces
    assert pieces([Message("user", " ] [ ")]) == [Piece("["), Piece("] [", 0), Piece("]")]


@pytest.mark.parametrize("change", ["upper", "replace('h', 'j')", "tojson", "e", "truncate(9)"])
def test_a_template_that_changes_contents_is_refused(change):
    source = f"{{% for m in messages %}}{{{{ m.content | {change} }}}}{{% endfor %}}"
    with pytest.raises(DataError, match="changes the content of a message"):
        chat_template(source).pieces([Message("user", "h<i there, you all")])


def test_only_used_contents_matter():
    source = "{% for m in messages %}{{ m.content.replace('j', 'h') }}{% endfor %}"
    assert chat_template(source).pieces(TURNS[:1]) == [Piece("hi", 0)]


SLOW = "takes more than 0.2 s"
LARGE = f"MemoryError|{SLOW}"  # whichever comes first
DOUBLE = "{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}"
BAD_SOURCES = {
    "syntax": ("a\n{% for %}", "chat_template: line 2: "),
    "unknown tag": ("{% eval x %}", "unknown tag 'eval'"),
    "unknown filter": ("{{ 1 | run }}", "No filter named 'run'"),
    "escape": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError: access to att"),
    "escape by attr": ("{{ ''|attr('__class__') }}{{ (''|attr('__class__')).x.y }}", "fails with"),
    "escape by format": ("{{ '{0.__class__.__mro__}'.format('').x.y }}", "SecurityError"),
    "import": ("{% import 'os' as os %}", "fails with"),
    "changes its arguments": ("{{ messages.append(1) }}", "SecurityError"),
    "undefined": ("{{ nothing.at.all }}", "UndefinedError: 'nothing' is undefined"),
    "long range": ("{% for i in range(1000000000) %}{% endfor %}", "Range too big"),
    "recursion": ("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
    "output": ("{% for i in range(99999) %}{{ 'a' * 999 }}{% endfor %}", "writes more than 16"),
    "repetition": ("{{ messages[0].content * 99999999 }}", "writes more than 16777216 characters"),
    "break outside a loop": ("{% break %}", "cannot be read: SyntaxError"),
    "argument twice": ("{{ dict(a=1, a=2) }}", "cannot be read: SyntaxError"),
    "call of a dict": ("{% call dict(a=1) %}{% endcall %}", "fails with"),
    "nested loops": (
        "".join(f"{{% for a{i} in [1] %}}" for i in range(25)) + "{% endfor %}" * 25,
        "cannot be read: SyntaxError: too many",
    ),
    "line breaks in an error": ("{{ raise_exception }}{{ {}['a\\nb\\r\\u2028'].c }}", "fails with"),
    # Time
    "loops": (
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
        SLOW,
    ),
    "filler": ("{{ lipsum(9999999) }}", SLOW),
    "squares": (
        "{% set n = namespace(x=3) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
        SLOW,
    ),
    "sum over loops": (
        "{% for i in range(99999) %}{% set x = range(99999) | sum %}{% endfor %}",
        SLOW,
    ),
    "power": ("{{ 9 ** (9 ** 9) }}", SLOW),
    "parentheses": ("{{ " + "(" * 9999 + "1" + ")" * 9999 + " }}", "RecursionError"),
    # Memory
    "doubling": (
        "{% set n = namespace(x='a') %}" + DOUBLE,
        LARGE,
    ),
    "list": ("{{ ([1] * 999999999) | length }}", LARGE),
    "padding": ("{{ 'a'.ljust(4000000000) | length }}", LARGE),
    "format": ("{{ ('%4000000000d' % 1) | length }}", LARGE),
    "indent": ("{{ [[1]] | tojson(indent=10 ** 9) | length }}", LARGE),
    "batch": ("{{ [1] | batch(10 ** 9, 0) | list | length }}", LARGE),
    "nested lists": (
        "{% set n = namespace(x=[1]) %}" + DOUBLE.replace("n.x + n.x", "[n.x, n.x]") + "{{ n.x }}",
        SLOW,
    ),
}


@pytest.fixture
def impatient(monkeypatch):
    """Renderings may take a fifth of a second of processor time."""
    template_renderer._sandbox.stop()
    monkeypatch.setattr(template_renderer, "SECONDS", 0.2)
    yield
    template_renderer._sandbox.stop()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", BAD_SOURCES)
def test_bad_templates_are_one_clear_error(name):
    source, message = BAD_SOURCES[name]
    with pytest.raises((ConfigError, DataError)) as caught:
        chat_template(source).pieces(TURNS[:1])
    assert re.search(message, str(caught.value))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300


# 300 signs took Jinja's optimizer minutes once; whether they do is up to its version.
HARMLESS = {"signs": "{{ " + "-" * 300 + "1 }}", "range": "{{ range(99999) | sum }}"}


@pytest.mark.parametrize("name", HARMLESS)
def test_templates_within_the_limits_are_rendered(name):
    assert len(chat_template(HARMLESS[name]).pieces(TURNS[:1])) == 1


def test_a_killed_process_is_one_clear_error_and_the_next_text_is_rendered():
    template = chat_template(BY_HAND)
    assert template.pieces(TURNS[:1])
    template_renderer._sandbox.process.kill()
    template_renderer._sandbox.process.wait()
    assert template.pieces([Message("user", "after")])[1] == Piece("after", 0)


def test_where_to_import_from_may_hold_what_import_passes_over(monkeypatch):
    template_renderer._sandbox.stop()
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/nowhere"), b"/nowhere", None, "\udcff"])
    assert chat_template(BY_HAND).pieces(TURNS[:1])


@pytest.mark.parametrize("executable", [None, "", "/nowhere/python", "/bin/true"])
def test_without_a_python_to_start_is_one_clear_error(executable, monkeypatch):
    template_renderer._sandbox.stop()
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(ConfigError, match=r"chat_template: .*process"):
        chat_template(BY_HAND)
    monkeypatch.undo()
    assert chat_template(BY_HAND).pieces(TURNS[:1])


def children():
    """Processes of this one, those that nobody waits for included."""
    stats = [path.read_text().rsplit(")", 1)[1] for path in Path("/proc").glob("[0-9]*/stat")]
    return sum(stat.split()[1] == str(os.getpid()) for stat in stats)


def test_ctrl_c_at_any_line_leaves_no_process_and_no_answer():
    template, own = chat_template(BY_HAND), children()
    before, descriptors = sys.gettrace(), len(os.listdir("/proc/self/fd"))
    for step in itertools.count(0, 2):
        left = step

        def trace(frame, event, _):
            nonlocal left
            code = frame.f_code
            if code.co_filename != template_renderer.__file__ or code.co_name == "ask":
                return None  # that one has a lock, and no signal comes as it is left
            left -= event == "line"
            if left < 0:
                raise KeyboardInterrupt
            return trace

        template_renderer._sandbox.is_busy = True  # so that it is ended and begun again
        sys.settrace(trace)
        try:
            template.pieces([Message("user", "before")])
            break
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert template.pieces([Message("user", "after")])[1] == Piece("after", 0)
    assert step > 20
    assert children() == own
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_threads_share_the_process_and_get_their_own_texts():
    template = chat_template(BY_HAND)

    def render(i):
        return template.pieces([Message("user", f"{i} " * (i * 40))])[1].text

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(render, range(200))) == [f"{i} " * (i * 40) for i in range(200)]


FORK = """
import os
import re
import sys
from plainformer.data import Message, template_renderer
from plainformer.data.chat_template import chat_template
render = chat_template("{% for m in messages %}{{ m.content }}{% endfor %}").pieces
before = template_renderer._sandbox.process
child = os.fork()
if child == 0:
    assert render([Message("user", "child")])[0].text == "child"
    assert template_renderer._sandbox.process.pid != before.pid
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert render([Message("user", "parent")])[0].text == "parent"
assert template_renderer._sandbox.process is before
"""


def test_a_fork_renders_in_a_process_of_its_own():
    run_python(FORK)


def test_nothing_is_left_when_the_program_ends():
    pid = run_python(
        "from plainformer.data import template_renderer as r\n"
        "r.Renderer('{{ messages }}')\n"
        "print(r._sandbox.process.pid)\n",
        PYTHONWARNINGS="error",
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.usefixtures("impatient")
def test_a_template_works_again_after_it_failed():
    template = chat_template(
        "{% if messages[0].content == 'loop' %}{% for i in range(99999) %}"
        "{% for j in range(99999) %}{% endfor %}{% endfor %}{% endif %}{{ messages[0].content }}"
    )
    assert template.pieces([Message("user", "hi")]) == [Piece("hi", 0)]
    with pytest.raises(ConfigError, match=SLOW):
        template.pieces([Message("user", "loop")])
    assert template.pieces([Message("user", "hi")]) == [Piece("hi", 0)]


def test_what_transformers_gives_templates_is_there():
    source = (
        "{{ strftime_now('%Y') | length }}{{ {'é': '<'} | tojson }}{{ dict(a=1)['a'] }}"
        "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i == 3 %}{% break %}"
        "{% endif %}{{ i }}{{ loop.first }}{% endfor %}{{ tools is none }}{{ documents is none }}"
        "{% set ns = namespace(x=1) %}{% if true %}{% set ns.x = 2 %}{% endif %}{{ ns.x }}"
    )
    [piece] = chat_template(source).pieces([])
    assert piece.text == '4{"é": "<"}10True2FalseTrueTrue2'


LEARNED = {
    "Llama 3": "hello<|eot_id|>so long<|eot_id|>",
    "Llama 2": " hello </s> so long </s>",
    "Mistral": " hello </s>so long</s>",
    "Zephyr": " hello </s>so long</s>",
    "Qwen2": " hello <|im_end|>so long<|im_end|>",
    "Phi-3": " hello <|end|>so long<|end|>",
    "generation blocks": " hello <|end|>so long<|end|>",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_assistants_words_and_their_ends_are_learned(name, tokenizer):
    style = TEMPLATES[name]
    tokens = {"eos_token": style.eos} | ({"bos_token": style.bos} if style.bos else {})
    made = encoder(tokenizer, style.source, **tokens)
    dialogue = made.encode(TURNS)
    assert decoded(tokenizer, dialogue.ids[dialogue.is_learned]) == LEARNED[name]
    assert tokenizer.id_to_token(made.stop) == style.eos
    strips = name.startswith("Llama")
    assert dialogue.characters == len("hello" if strips else " hello ") + len("so long")
    prompt = made.prompt(TURNS[:3])
    assert prompt.ids.tolist() == dialogue.ids[: len(prompt)].tolist()
    assert dialogue.is_learned[len(prompt) :][0]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_content_that_spells_a_special_token_is_text(name, tokenizer):
    style = TEMPLATES[name]
    tokens = {"eos_token": style.eos} | ({"bos_token": style.bos} if style.bos else {})
    made = encoder(tokenizer, style.source, **tokens)
    special = [tokenizer.token_to_id(token) for token in style.special]

    def markers(content):
        return [i for i in made.prompt([Message("user", content)]).ids if i in special]

    attack = "x" + "".join(style.special) + "y"
    assert markers(attack) == markers("x")
    assert attack in decoded(tokenizer, made.prompt([Message("user", attack)]).ids)


def test_a_marker_half_in_a_content_is_text(tokenizer):
    made = encoder(tokenizer, "{% for m in messages %}<|im_{{ m.content }}<|im_end|>{% endfor %}")
    end = tokenizer.token_to_id("<|im_end|>")
    assert (made.encode([Message("user", "end|>")]).ids == end).sum() == 1


def test_tokenizers_that_cannot_keep_a_special_token_as_text_say_so():
    words = {"[UNK]": 0, "[END]": 1, "hi": 2, "there": 3}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["[UNK]", "[END]"])
    source = "{% for m in messages %}{{ m.content }} [END]{% endfor %}"
    talk = encoder(made, source)
    assert talk.encode([Message("user", "hi you there")]).ids.tolist() == [2, 0, 3, 1]
    with pytest.raises(DataError, match=r"spells '\[END\]', which this tokenizer cannot write"):
        talk.encode([Message("user", "hi [END] there")])


def test_a_vocabulary_with_gaps_is_refused():
    made = Tokenizer(models.WordLevel({"[UNK]": 0, "hi": 2}, unk_token="[UNK]"))
    made.add_special_tokens(["[END]"])
    with pytest.raises(ConfigError, match="its vocabulary has gaps"):
        encoder(made, "{% for m in messages %}{{ m.content }}[END]{% endfor %}")


BAD_STYLES = {
    "no end": ("{% for m in messages %}{{ m.content }}\n{% endfor %}", "puts no special token"),
    "no token of the tokenizer": (
        "{% for m in messages %}{{ m.content }}<|stop|>{% endfor %}",
        "puts no special token",
    ),
    "prompt of its own": (
        BY_HAND + "{% if add_generation_prompt %}answer:{% endif %}",
        "writes what comes before message 1 otherwise",
    ),
    "counts messages": (
        "{{ messages | length }}" + BY_HAND,
        "writes what comes before message 1 otherwise",
    ),
    "no assistant": (
        "{% for m in messages[:3] %}{{ m.content }}<|im_end|>{% endfor %}",
        "leaves out message 3, the assistant's",
    ),
}


@pytest.mark.parametrize("name", BAD_STYLES)
def test_templates_that_cannot_be_learned_in_say_why(name, tokenizer):
    source, message = BAD_STYLES[name]
    with pytest.raises((ConfigError, DataError), match=message):
        encoder(tokenizer, source).encode(TURNS)


def test_a_template_without_system_messages_is_told(tokenizer):
    source = "{% for m in messages if m.role != 'system' %}{{ m.content }}<|im_end|>{% endfor %}"
    with pytest.warns(PlainformerWarning, match="leaves out messages of role 'system'"):
        encoder(tokenizer, source).encode([Message("system", "be kind"), *TURNS])


def test_a_turn_that_begins_within_a_token_is_told(tokenizer):
    source = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    glued = [Message("user", "hi"), Message("assistant", "so long")]
    with pytest.warns(PlainformerWarning, match="begins within a token"):
        encoder(tokenizer, source).encode(glued)


def test_a_dialogue_may_begin_with_the_assistant(tokenizer):
    made = encoder(tokenizer, TEMPLATES["Qwen2"].source)
    dialogue = made.encode(TURNS[1:])
    assert decoded(tokenizer, dialogue.ids[dialogue.is_learned]).startswith(" hello <|im_end|>")


def test_named_templates(tmp_path, tokenizer):
    named = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": BY_HAND}]
    remember_options(tokenizer, {"chat_template": named})
    save_tokenizer(tokenizer, tmp_path)
    remember_options(tokenizer, {"chat_template": None})
    assert source_of(tokenizer_options(read_tokenizer(tmp_path))) == BY_HAND
    assert source_of({"chat_template": named[:1]}) is None
    assert source_of({}) is None


def test_a_template_left_by_another_tokenizer_goes(tmp_path, tokenizer):
    remember_options(tokenizer, {"chat_template": BY_HAND})
    save_tokenizer(tokenizer, tmp_path)
    assert (tmp_path / "chat_template.jinja").read_text() == BY_HAND
    remember_options(tokenizer, {"chat_template": None})
    save_tokenizer(tokenizer, tmp_path)
    assert source_of(tokenizer_options(read_tokenizer(tmp_path))) is None


@pytest.mark.parametrize("bad", [3, [3], [{"name": "default"}], {"default": "x"}])
def test_templates_of_the_wrong_kind_are_refused(bad, tmp_path, tokenizer):
    save_tokenizer(tokenizer, tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": bad}))
    with pytest.raises(CheckpointError, match="chat_template: got"):
        read_tokenizer(tmp_path)
