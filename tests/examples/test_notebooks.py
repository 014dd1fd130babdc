"""The notebooks of examples/ run in a kernel from top to bottom, and show what they should.

The kernel is of the extra `dev`: .ci/run has it, a first `pytest` may not.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A function that runs a notebook in a directory of its own; its cells, with their outputs."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    found = {}

    def run(name):
        if name not in found:
            place = tmp_path_factory.mktemp("notebook")
            notebook = nbformat.read(EXAMPLES / name, as_version=4)
            nbclient.NotebookClient(
                notebook, timeout=120, resources={"metadata": {"path": str(place)}}
            ).execute()
            found[name] = [cell for cell in notebook.cells if cell.cell_type == "code"]
        return found[name]

    return run


def html(cell):
    """All that a cell shows as HTML, as it is in the end."""
    return [o["data"]["text/html"] for o in cell.outputs if "text/html" in o.get("data", {})]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_without_what_it_showed(name):
    cells = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    assert f"| [{name}]({name}) |" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore")  # of the kernel's client
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_says_nothing_of_warnings(name, executed):
    for cell in executed(name):
        said = [o.get("text", "") for o in cell.outputs if o.output_type == "stream"]
        assert not any("Warning" in text for text in said), said


@pytest.mark.filterwarnings("ignore")
def test_training_is_a_table_that_ends_full(executed):
    shown = [text for cell in executed("first_steps.ipynb") for text in html(cell)]
    tables = [text for text in shown if "<progress" in text]
    assert len(tables) == 2  # pre-training and fine-tuning
    for table in tables:
        value, most = re.search(r'<progress value="(\d+)" max="(\d+)">', table).groups()
        assert value == most
        assert "<th>eval_loss</th>" in table
    results = [text for text in shown if "<progress" not in text]
    assert any("eval_perplexity" in text for text in results)
    assert any("eval_accuracy" in text for text in results)


@pytest.mark.filterwarnings("ignore")
def test_its_models_have_learned(executed):
    *_, last = cells = executed("first_steps.ipynb")
    shown = "".join(text for cell in cells for text in html(cell))
    losses = {
        name: float(re.search(f"<th>{name}</th><td>([\\d.]+)</td>", shown)[1])
        for name in ("eval_perplexity", "bigram_loss")
    }
    assert math.log(losses["eval_perplexity"]) < 0.8 * losses["bigram_loss"]
    [answer] = [o["data"]["text/plain"] for o in last.outputs]
    assert re.findall(r"'label': '(\w+)'", answer) == ["senses", "acts"]
