"""Tables, word for word."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from rich.console import Console

from learnedrecon.evaluation.scores import Scores
from learnedrecon.evaluation.table import markdown_table, rich_table, rows

MANY = Scores(
    "learned primal-dual",
    np.array([30.0, 32.0]),
    np.array([0.90, 0.94]),
    np.array([0.001, 0.003]),
    0.0123,
    253_220,
)
ONE = Scores("fbp", np.array([24.18]), np.array([0.594]), np.array([0.02]), 1.5, 0)


def test_mean_and_deviation() -> None:
    assert rows([MANY]) == [
        (
            "learned primal-dual",
            "31.00 ± 1.41",
            "0.920 ± 0.028",
            "0.0020",
            "12.3",
            "253 220",
        )
    ]


def test_one_image_has_no_deviation() -> None:
    assert rows([ONE]) == [("fbp", "24.18", "0.594", "0.0200", "1500.0", "0")]


def test_markdown() -> None:
    assert markdown_table([ONE, MANY]).splitlines() == [
        "| method | PSNR (dB) | SSIM | NMSE | ms / image | parameters |",
        "|---|---:|---:|---:|---:|---:|",
        "| fbp | 24.18 | 0.594 | 0.0200 | 1500.0 | 0 |",
        "| learned primal-dual | 31.00 ± 1.41 | 0.920 ± 0.028 | 0.0020 | 12.3 | 253 220 |",
    ]


def test_the_terminal_shows_the_same() -> None:
    stream = io.StringIO()
    Console(file=stream, width=120, color_system=None).print(rich_table([ONE, MANY], "two methods"))
    text = stream.getvalue()
    assert text.splitlines()[0].strip() == "two methods"
    assert text.splitlines()[-1].strip() == "±: one standard deviation over the images"
    assert rich_table([ONE], "").caption is None
    for row in rows([ONE, MANY]):
        line = next(line for line in text.splitlines() if row[0] in line)
        assert all(cell in line for cell in row)


def test_it_fits_80_columns_with_names_whole() -> None:
    name = "a_run_folder_whose_name_is_far_longer_than_what_is_left_of_eighty_columns"
    stream = io.StringIO()
    table = rich_table([ONE, replace(MANY, method=name)], "two methods")
    Console(file=stream, width=80, color_system=None).print(table)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    first = [line.split()[0] for line in lines if line.strip()]
    assert "".join(word for word in first if word in name) == name
    assert any("31.00 ± 1.41" in line and "253 220" in line for line in lines)


def test_terminals_of_ascii_show_the_same() -> None:
    stream = io.StringIO()
    table = rich_table([ONE, MANY], "two methods", ascii_only=True)
    Console(file=stream, width=80, color_system=None).print(table)
    assert stream.getvalue().isascii()
    assert "31.00 +- 1.41" in stream.getvalue()


def test_a_score_that_no_image_has_is_a_dash() -> None:
    without = replace(ONE, ssim=np.array([np.nan]))
    assert rows([without])[0][2] == "-"
    assert without.to_plain()["ssim"] is None
