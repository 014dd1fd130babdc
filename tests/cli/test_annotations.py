"""`predict --format`: what is written for annotation tools is read back; entities are marked."""

import json
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main
from plainformer.cli._annotations import ANNOTATIONS, SUFFIXES, Found, _forms
from plainformer.data import read_examples
from plainformer.errors import DataError, DTypeError, ShapeError
from plainformer.metrics import spans_of
from plainformer.tasks.highlighting import Palette, for_terminal, stretches, takes_colour
from tests.tasks.tiny import tune

TEXTS = ["Ann Lee saw Paris .", "🙂 Bob Lee  saw Paris, 东京", "rain fell on Rome"]
READ = [name for name in ANNOTATIONS if name not in ("highlight", "html")]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("ner")
    tune("token-classification", path, max_steps=80, eval_strategy="no")
    assert all(pf.pipeline(None, path)(TEXTS)), "it has to find something"
    return path


def run(*arguments, fails=False, **options):
    result = CliRunner().invoke(main, [str(a) for a in arguments], **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert (result.exit_code != 0) == fails, result.stderr
    return result.stderr if fails else result.stdout


def entities_of(example):
    text = " ".join(example.tokens) if example.text is None else example.text
    places = example.spans
    if places is None:
        places, at = [], 0
        for token in example.tokens:
            places.append((at, at + len(token)))
            at += len(token) + 1
    return [
        (text[places[s.start][0] : places[s.end - 1][1]], s.type) for s in spans_of(example.tags)
    ]


@pytest.mark.parametrize("form", READ)
def test_what_is_written_is_read_back(directory, tmp_path, form):
    out = tmp_path / ("out.json" if form in ("label-studio", "label-studio-min", "spacy") else "o")
    run("predict", directory, *TEXTS, "--format", form, "--output", out)
    examples = list(read_examples(out, "ner"))
    found = pf.pipeline(None, directory)(TEXTS)
    assert [entities_of(e) for e in examples] == [
        [(e["word"], e["entity_group"]) for e in own] for own in found
    ]
    if form != "conll":
        assert [e.text for e in examples] == TEXTS
        offsets = [[(e["start"], e["end"]) for e in own] for own in found]
        assert offsets == [
            [(e.spans[s.start][0], e.spans[s.end - 1][1]) for s in spans_of(e.tags)]
            for e in examples
        ]


@pytest.mark.parametrize("form", READ)
def test_what_is_written_is_input_too_and_what_else_an_input_has_is_kept(directory, tmp_path, form):
    rows = [json.dumps({"id": i, "text": t, "label": []}) + "\n" for i, t in enumerate(TEXTS)]
    first = run("predict", directory, "--format", form, input="".join(rows))
    out = tmp_path / ("out.conll" if form == "conll" else "out")
    out.write_text(first, encoding="utf-8")
    assert run("predict", directory, "--format", form, "--input", out) == first
    if form not in ("conll", "spacy"):
        assert '"id": 2' in first


def test_no_answers_are_an_empty_file_of_the_form_and_mistakes_lose_nothing(directory, tmp_path):
    out = tmp_path / "out.json"
    out.write_text("kept")
    (tmp_path / "in.jsonl").write_text('{"text": "Ann"}\n{"text": 5}\n')
    arguments = ("predict", directory, "--input", tmp_path / "in.jsonl", "--output", out)
    run(*arguments, "--format", "spacy", "--skip-bad-lines")
    assert [text for text, _ in json.loads(out.read_text())] == ["Ann"]
    out.write_text("kept")
    (tmp_path / "in.jsonl").write_text('{"text": 5}\n')
    assert "text" in run(*arguments, "--format", "spacy", fails=True)
    assert out.read_text() == "kept"


@pytest.mark.parametrize("name", SUFFIXES)
def test_the_name_of_the_output_says_its_form(directory, tmp_path, name):
    run("predict", directory, TEXTS[0], "--output", tmp_path / f"out{name}")
    text = (tmp_path / f"out{name}").read_text()
    assert text.startswith("<!DOCTYPE html>" if "htm" in name else "Ann B-PER\nLee I-PER\n")


def test_a_task_without_entities_has_no_such_form(tmp_path):
    tune("text-classification", tmp_path, max_steps=1, eval_strategy="no")
    assert "--format: got spacy, which has no effect on text-classification" in run(
        "predict", tmp_path, "so good", "--format", "spacy", fails=True
    )


class Page(HTMLParser):
    """The texts of a page's paragraphs, without what marks them."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.kinds, self._depth = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        assert not {"src", "href"} & {name for name, _ in attributes}, "it needs no other file"
        if tag != "meta":
            self._depth.append(tag)
        if tag == "p":
            self.texts.append("")

    def handle_endtag(self, tag):
        assert self._depth.pop() == tag

    def handle_data(self, data):
        if self._depth[-1:] == ["span"]:
            self.kinds.append(data)
        elif "p" in self._depth:
            self.texts[-1] += data


def test_a_page_is_whole_and_everything_in_it_is_escaped(directory, tmp_path):
    texts = [*TEXTS, 'Ann <script>alert("x")</script> & Bob &amp; </p>']
    run("predict", directory, *texts, "--output", tmp_path / "a<b>.html")
    page = (tmp_path / "a<b>.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<title>a&lt;b&gt;</title>" in page
    assert page.endswith("</html>\n")
    parsed = Page(page)
    assert parsed.texts == texts
    assert parsed.kinds == [
        e["entity_group"] for own in pf.pipeline(None, directory)(texts) for e in own
    ]


def test_a_label_is_escaped_in_a_page():
    shown = pf.highlight("Ann", [(0, 3, "<b>")])
    assert "&lt;b&gt;" in shown.html()
    assert "<b>" not in shown.html()


def test_without_a_terminal_there_are_brackets(directory):
    assert run("predict", directory, TEXTS[0], "--format", "highlight") == (
        "[Ann Lee PER] saw [Paris LOC] .\n"
    )


class Terminal:
    encoding = "utf-8"

    def isatty(self):
        return True


def test_colours_are_for_terminals_that_want_them(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert takes_colour(Terminal())
    found = Found("Ann", [{"start": 0, "end": 3, "label": "PER"}], ["Ann"], ["B-PER"], {}, False)
    assert _forms(Terminal(), "")["highlight"].write(found).startswith("\x1b[")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not takes_colour(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not takes_colour(Terminal())
    assert not takes_colour(object())


def test_nothing_of_a_text_or_label_is_obeyed_by_a_terminal():
    text = "\x1b[31mAnn\x07 said\r\nno"
    plain = for_terminal(text, [(5, 8, "P\x1b")], Palette(), colour=False)
    assert plain == "\\x1b[31m[Ann P\\x1b]\\x07 said\\r\nno"
    coloured = for_terminal("Ann", [(0, 3, "PER")], Palette(), colour=True)
    assert coloured.startswith("\x1b[38;5;16;48;5;")
    assert coloured.endswith(" Ann \x1b[1mPER \x1b[0m")


def test_notebooks_show_a_text_and_several(directory, tmp_path):
    find = pf.pipeline(None, directory)
    one, several = pf.highlight(TEXTS[0], find(TEXTS[0])), pf.highlight(TEXTS, find(TEXTS))
    assert one._repr_html_() in several._repr_html_()
    assert Page(several._repr_html_()).texts == TEXTS
    assert str(one) == "[Ann Lee PER] saw [Paris LOC] ."
    several.save(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == several.html()
    assert repr(one) == "Highlighted(1 texts, 2 entities)"


def test_ten_labels_have_ten_colours_and_more_are_taken():
    palette = Palette()
    assert len({palette[f"T{i}"] for i in range(10)}) == 10
    assert palette["T11"] in {palette[f"T{i}"] for i in range(10)}
    assert Palette()["PER"] == Palette()["PER"]


def test_bad_entities_are_named():
    with pytest.raises(DataError, match=r"entities: 'nn' \(1 to 3\) overlaps another"):
        pf.highlight("Ann", [(0, 2, "A"), (1, 3, "B")])
    with pytest.raises(DataError, match="not inside the text's 3"):
        pf.highlight("Ann", [{"start": 0, "end": 9, "label": "A"}])
    with pytest.raises(ShapeError, match="got 1 lists, expected 2"):
        pf.highlight(["Ann", "Bob"], [[]])
    with pytest.raises(DTypeError, match="text: got"):
        pf.highlight([3], [[]])
    assert list(stretches("", [])) == []
