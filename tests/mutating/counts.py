"""Counts of the verdicts, and the table of the page."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.mutating.equivalent import EQUIVALENT

from benchmarks.harness.tables import Cell, Table, table

GROUPS = {
    "certificates": ("evaluation/certificate*.py",),
    "equilibria": ("*/contraction.py", "models/equilibrium*.py"),
    "models": ("models/*.py",),
    "schemes": ("schemes/*.py",),
    "solvers": ("solvers/**/*.py",),
    "networks": tuple(f"networks/{name}.py" for name in ("bounded", "potential", "spectral")),
    "functionals": ("functionals/*.py",),
}
NOTICED = ("noticed", "time is up")
SURVIVED = "survived"
"""The ``drawn`` of a change that no test noticed until one was written for it."""


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts, and the survivors with the reason of those that are equivalent."""
    survivors = [
        {**one, "equivalent": EQUIVALENT.get((one["file"], one["text"], one["change"]))}
        for one in found
        if one["outcome"] not in NOTICED
    ]
    real = [one for one in survivors if one["equivalent"] is None]
    outcomes = Counter(one["outcome"] for one in found)
    valid = len(found) - len(survivors) + len(real)
    drawn = len(real) + sum(one.get("drawn") == SURVIVED for one in found)
    rows = [
        {
            "group": group,
            "changes": sum(one["group"] == group for one in found),
            "time is up": sum(
                one["group"] == group and one["outcome"] == "time is up" for one in found
            ),
            "equivalent": sum(one["group"] == group for one in survivors)
            - sum(one["group"] == group for one in real),
            "survived": sum(one["group"] == group for one in real),
        }
        for group in dict.fromkeys(one["group"] for one in found)
    ]
    return {
        "samples": _samples(found),
        "changes": len(found),
        "outcomes": outcomes,
        "valid": valid,
        "survived": len(real),
        "share_that_survived": len(real) / max(1, valid),
        "survived_as_drawn": drawn,
        "share_as_drawn": drawn / max(1, valid),
        "groups": sorted(rows, key=lambda row: list(GROUPS).index(row["group"])),
        "survivors": survivors,
        "judged": found,
    }


def _samples(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What came of each sample as it was drawn: a later one alone tells of the tests before it."""
    rows = []
    for name in dict.fromkeys(one["sample"] for one in found if "sample" in one):
        own = [one for one in found if one.get("sample") == name]
        reasons = [EQUIVALENT.get((one["file"], one["text"], one["change"])) for one in own]
        lost = [one["outcome"] not in NOTICED for one in own]
        valid = sum(not (a and b is not None) for a, b in zip(lost, reasons, strict=True))
        drawn = [one.get("drawn") == SURVIVED for one in own]
        missed = sum(a or (b and c is None) for a, b, c in zip(drawn, lost, reasons, strict=True))
        rows.append({"seeds": name, "changes": len(own), "valid": valid, "as drawn": missed})
    return rows


def table_and_share(content: dict[str, Any]) -> Table:
    """What a page says of the results."""
    columns: dict[str, Cell] = {
        "files": lambda row: row["group"],
        "changes": lambda row: str(row["changes"]),
        "noticed": lambda row: str(row["changes"] - row["equivalent"] - row["survived"]),
        "of these: time is up": lambda row: str(row["time is up"]),
        "equivalent": lambda row: str(row["equivalent"]),
        "survived": lambda row: str(row["survived"]),
    }
    missed = sum(one["outcome"] not in NOTICED for one in content["named"])
    note = (
        f"{content['survived_as_drawn']} of {content['valid']} changes that are not equivalent "
        f"survived as they were drawn, {content['share_as_drawn']:.1%}; with the tests that were "
        f"written for them {content['survived']}, and {missed} of the {len(content['named'])} that "
        "were missed earlier."
    )
    note += "".join(
        f" Seeds {row['seeds']}: {row['as drawn']} of {row['valid']} as drawn, "
        f"{row['as drawn'] / max(1, row['valid']):.1%}."
        for row in content.get("samples", ())
    )
    return table(content["groups"], columns, note)
