"""The page of the learned schemes: every one of them, with an equation, a line and a number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import learnedrecon as lr
from learnedrecon.models.registry import MODELS
from learnedrecon.operators import AngleRange, FlatDetector, ParallelBeam, RayTransform
from studies.common.reached import ELSEWHERE
from studies.common.schemes_compared import SCHEMES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "schemes.md").read_text(encoding="utf-8")
SECTIONS = {
    name: section
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    for name in re.findall(r"<!-- begin scheme-(\w+) -->", section)
}
CLASSICAL = {"fbp", "tv", "zero_filled", "cg_sense", "wavelet_sense"}
LEARNED = [name for name in MODELS if name not in CLASSICAL]


def test_every_learned_scheme_has_a_section_of_its_own() -> None:
    assert sorted(SECTIONS) == sorted(LEARNED)
    assert len(set(SECTIONS.values())) == len(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_is_a_paragraph_an_equation_a_line_and_a_number(name: str) -> None:
    title, paragraph, *_ = SECTIONS[name].split("\n\n")
    assert title
    assert paragraph.startswith(f"`{name}`. ")
    assert len(re.findall(r"```text\n.+?\n```", SECTIONS[name], re.DOTALL)) == 1
    assert len(re.findall(r"```python\n.+\n```", SECTIONS[name])) == 1
    (said,) = re.findall(
        rf"<!-- begin scheme-{name} -->\n(.+?)\n<!-- end", SECTIONS[name], re.DOTALL
    )
    assert said == "Not measured." or re.search(r"\*\*.*\d.*\*\*", said)


@pytest.mark.parametrize("name", SECTIONS)
def test_the_line_of_a_section_makes_its_method(name: str) -> None:
    (line,) = re.findall(r"```python\n(.+)\n```", SECTIONS[name])
    operator = RayTransform(ParallelBeam((8, 8), AngleRange(4), FlatDetector(13)))
    model = eval(line, {"lr": lr, "T": operator})
    assert type(model.spec) is MODELS[name].spec


def test_what_is_measured_of_a_scheme_is_a_registered_one() -> None:
    assert set(SCHEMES) | set(ELSEWHERE) <= set(LEARNED)
