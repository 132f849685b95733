"""The measured numbers in the text of the pages, outside the tables that a program writes.

What a page tells is made here from the recorded JSON; one digit changed in either is found. On the
pages in ``WHOLE`` a number that is neither told nor a setting fails too.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]


def _result(name: str, folder: str = "studies") -> dict[str, Any]:
    path = ROOT / folder / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def _spaced(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def ellipses() -> list[str]:
    names = ("fbp", "tv", "tv_nonnegative", "unet", "learned_gradient", "lpd", "filtered_lpd")
    told, errors = [], []
    for name in (*names, "nonlinear_lpd"):
        found = _result(f"ellipses-{name}")
        errors.append(found["psnr_std_over_100"] / 10)
        known = found["published_psnr"]
        row = f"| {found['images']} | {found['psnr']:.2f} ± {found['psnr_stderr']:.2f} "
        row += f"| {found['ssim']:.3f} | {'–' if known is None else format(known, '.2f')} |"
        told += [row, *([f"{found['steps']} steps"] if "steps" in found else [])]
    told.append(f"100 images ({min(errors):.2f} to {max(errors):.2f} dB)")
    of_log = _result("ellipses-nonlinear_lpd")["fbp_of_log_data"]
    return [*told, f"reaches {of_log['psnr']:.2f} dB"]


def brain() -> list[str]:
    found = _result("brain")
    methods = found["methods"]
    digits = {name: 1 if m["seconds"] < 0.1 else 2 for name, m in methods.items()}
    rows = [
        f"| {m['held_out_residual']:.3f} | {m['seconds']:.{digits[name]}g} |"
        for name, m in methods.items()
    ]
    none = methods["CG-SENSE"]["tried"][0]
    assert none["weight"] == 0
    held = found["held_out"]
    more = (
        f"{held['testing']} outside the centre are left out for the test, {held['choosing']} more"
    )
    return [*rows, more, f"samples for choosing is {none['residual']:.1f}."]


def cone_beam() -> list[str]:
    found = _result("cone-beam")
    seconds = found["seconds"]
    return [
        f"| {name} | {psnr:.2f} | {seconds[name]:.1f} |" for name, psnr in found["psnr"].items()
    ]


def tooth() -> list[str]:
    found, axis = _result("tooth"), _result("tooth-axis")
    forms = ("{:.2f} ± {:.2f}", "{:.3f} ± {:.3f}", "{:.4f} ± {:.4f}")
    told = [f"FBP, Hann {found['classical']['fbp']['bandwidth']:.2f} |"]
    for score in found["tooth"].values():
        row = (score["psnr"], score["ssim"], score["nmse"], 1e3 * score["seconds"])
        told.append(" {:.2f} | {:.3f} | {:.4f} | {:.1f} |".format(*row))
    for score in found["phantoms"].values():
        pairs = [(score[name], score[f"{name}_std"]) for name in ("psnr", "ssim", "nmse")]
        cells = [form.format(*pair) for form, pair in zip(forms, pairs, strict=True)]
        told.append(f" {' | '.join(cells)} |")
    better = found["phantoms"]["learned"]["psnr"] - found["phantoms"]["TV"]["psnr"]
    worse = found["tooth"]["TV"]["psnr"] - found["tooth"]["learned"]["psnr"]
    below, above = axis["axis"]["-8"], axis["axis"]["+8"]
    gaps = [axis["reference"] - end for end in (below, above)]
    photons = round(found["config"]["data"]["simulation"]["noise"]["photons"])
    return [
        *told,
        f"trained for, by {better:.1f} dB",
        f"the tooth, which is something else, by {worse:.1f} dB",
        f"Training took {found['training_seconds']:.0f} s",
        f"--steps {found['config']['training']['steps']}",
        f"it is at pixel **{found['axis']:.2f}**",
        f"{_spaced(photons)} photons",
        f"bandwidth of FBP ({found['classical']['fbp']['bandwidth']:.3f})",
        f"weight of TV ({found['classical']['tv']['weight']:.4f})",
        f"scale c, {found['config']['model']['image_scale']:.5f} per",
        f"pixel **{axis['reference']:.2f}**",
        f"ends at **{below:.2f}** after {len(axis['paths']['-8'])} iterations",
        f"**{above:.2f}** after {len(axis['paths']['+8'])} iterations",
        f"{gaps[0]:.2f} and {gaps[1]:.2f} pixels from the reference",
        f"31 views is at {found['axis']:.2f}",
    ]


def readme() -> list[str]:
    told = []
    for part, form in (
        ("parallel, one thread", "it is {:.0f} and {:.0f} times as fast as ASTRA"),
        ("parallel, all threads", "cores {:.0f} and {:.0f} times"),
    ):
        told.append(form.format(*(row["value"] for row in _rays(part))))
    ours = [row["ours"] for row in _rays("parallel, all threads")]
    told.append("take {:.1f} ms forward and {:.1f} ms back".format(*ours))
    bare, peer = _sense("bare"), _sense("deepinv")
    told.append(f"take {bare[0]:.1f} to {bare[-1]:.1f} times as long as their bare Fourier")
    told.append(f"{peer[0]:.1f} to {peer[-1]:.1f} times as fast as deepinv")
    worse = _result("tooth")["tooth"]
    told.append(f"another instrument, by {worse['TV']['psnr'] - worse['learned']['psnr']:.1f} dB")
    return [*told, *certified()]


def certified() -> list[str]:
    found = _result("equilibrium")
    proof = found["certificates"][0]
    gap, mantissa = 1 - proof["factor"], f"{1 - proof['factor']:.1e}".split("e")
    assert gap < 1e-3
    return [
        f"1 - γ = {mantissa[0]}e{int(mantissa[1])}",
        f"{_spaced(proof['iterations'])} evaluations",
        f"where {found['certificates'][0]['solver_iterations_mean']:.0f} are needed",
        f"{found['psnr']:.2f} and 27.19 dB",
    ]


def _rays(part: str) -> list[dict[str, Any]]:
    """The rows of a part at 362², forward and back."""
    rows = _result("ray_transform", "benchmarks")["rows"]
    return [row for row in rows if row["part"] == part and row["work"].startswith("362²")]


def _sense(peer: str) -> list[float]:
    """The ratios of SENSE to a peer, in order."""
    rows = _result("operators", "benchmarks")["rows"]
    return sorted(
        row["value"] for row in rows if row["work"].startswith("SENSE") and peer in row["peer"]
    )


TOLD: dict[str, Callable[[], list[str]]] = {
    "docs/ellipses.md": ellipses,
    "docs/brain.md": brain,
    "docs/cone-beam.md": cone_beam,
    "docs/tooth.md": tooth,
    "docs/depth.md": certified,
    "README.md": readme,
}
WHOLE = {  # the numbers that are settings, or of others, or printed by a command that is named
    "docs/ellipses.md": "128 183 400 2.5 100 0.3 0.02 000 2667 28.11 0.16",
    "docs/brain.md": "5148",
    "docs/cone-beam.md": "1.6 300.0 200.0 0.6 0.01 0.1 120 144 5000 1.3 1983 1984 288",
    "docs/tooth.md": "181 179.0 180 640 319.5 160 2.25 320 0.01 150 295.82 295.72 0.19 0.097",
}


def _prose(page: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    marked = re.compile(r"<!-- begin ([\w-]+) -->\n.*?<!-- end \1 -->", re.DOTALL)
    return " ".join(marked.sub("", text).split())


@pytest.mark.parametrize("page", TOLD)
def test_what_a_page_tells_was_recorded(page: str) -> None:
    prose = _prose(page)
    assert [told for told in TOLD[page]() if told not in prose] == []


@pytest.mark.parametrize("page", WHOLE)
def test_a_page_tells_no_other_number(page: str) -> None:
    prose = re.sub(r"```.*?```", "", _prose(page))
    for told in TOLD[page]():
        prose = prose.replace(told, "")
    numbers = set(re.findall(r"\d+\.\d+|\d{3,}", prose))
    assert numbers - set(WHOLE[page].split()) == set()


@pytest.mark.parametrize("page", WHOLE)
def test_one_digit_is_found(page: str) -> None:
    """Whatever told number changes in a digit, the page no longer has what it should tell."""
    prose, told = _prose(page), TOLD[page]()
    for text in told:
        for place in (match.start() for match in re.finditer(r"\d", text)):
            digit = str((int(text[place]) + 1) % 10)
            changed = prose.replace(text, f"{text[:place]}{digit}{text[place + 1 :]}")
            assert any(each not in changed for each in told)
