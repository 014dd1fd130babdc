"""The two READMEs: the Chinese one has commands of the English one, and links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = "README.md", "README.zh-CN.md"


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name):
    return re.findall(r"^```(?:sh|python)\n(.*?)^```$", text(name), re.MULTILINE | re.DOTALL)


def test_every_command_of_the_chinese_readme_is_in_the_english_one():
    assert len(blocks(CHINESE)) >= 5
    assert set(blocks(CHINESE)) <= set(blocks(ENGLISH))


@pytest.mark.parametrize("name", [ENGLISH, CHINESE])
def test_links_lead_to_files(name):
    links = re.findall(r"\]\(([^)#:]+)\)", text(name))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
