"""Results as tables of Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

CALLS = ("forward", "adjoint")


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """With a line for every row; empty where there is nothing."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def machine(content: dict[str, Any]) -> str:
    """Where, when and with what a result was measured."""
    found = content["environment"]
    git = found["git"] or {"commit": "unknown", "modified": False}
    changed = " with changes" if git["modified"] else ""
    peers = ", ".join(f"{name} {of or '(missing)'}" for name, of in content["peers"].items())
    return (
        f"`{content['command']}`, {content['seconds']:.0f} s: {content['cpu']}, "
        f"{content['cores']} cores, {content['threads']} threads, {content['isa']}; "
        f"load {content['load_before']:.1f} before; torch {found['packages']['torch']}; {peers}; "
        f"commit {git['commit'][:12]}{changed}.\n"
    )


def rows_of_parts(name: str) -> Callable[[dict[str, Any]], str]:
    """The renderer of the rows whose part is ``name``, or begins with it and a comma."""

    def render(content: dict[str, Any]) -> str:
        rows = [row for row in content["rows"] if row["part"].partition(",")[0] == name]
        heads = ("work", "call", "ours", "G/s", "peer", "theirs", "reached", "target", "met")
        return markdown_table(heads, map(_row, rows))

    return render


def lines_of_scaling(content: dict[str, Any]) -> str:
    """A straight line through every sweep, and how constant the cost of an update is."""
    rows = []
    for name, sweep in content["sweeps"].items():
        for call in CALLS:
            line, cost = sweep[call].get("line"), sweep[call]["ns_per_update"]
            fit = (f"{1e3 * line['slope']:.4g}", f"{line['r2']:.4f}") if line else ("", "")
            ends = f"{cost[0]:.3f} to {cost[-1]:.3f}"
            values = ", ".join(f"{x:.4g}" for x in sweep["x"])
            rows.append((name, sweep["fixed"], f"{sweep['axis']}: {values}", call, *fit, ends))
    heads = ("time against", "fixed", "points", "call", "slope (ms)", "R²", "ns/update, ends")
    constant = content["constant cost per update"]
    words = [
        f"{call} ±{constant[call]:.0%} ({'met' if constant[f'{call} met'] else 'not met'})"
        for call in CALLS
    ]
    target = f"{constant['target']:.0%}"
    sentence = (
        f"\nCost per update from 128² to 1024², to be within ±{target}: {', '.join(words)}.\n"
    )
    return markdown_table(heads, rows) + sentence


def steps(content: dict[str, Any]) -> str:
    """Whole training steps on both operators."""
    rows = []
    for found in content["scans"].values():
        other = found["deepinv"]
        if "failed" in other:
            rows.append((found["work"], "", other["failed"], "", "", "", ""))
            continue
        times = [seconds(other[who]["median_s"]) for who in ("ours", "theirs")]
        rest = (f"{other['ratio']:.3g}", f"≥ {other['target']:g}", _yes(other["met"]))
        rows.append((found["work"], *times, other["options"], *rest))
        for options, one in other["all_options"].items():
            if options != other["options"]:
                pair = [seconds(one[key]) for key in ("ours_s", "theirs_s")]
                rows.append((found["work"], *pair, options, f"{one['ratio']:.3g}", "", ""))
    heads = ("training step", "ours", "deepinv", "deepinv's options", "reached", "target", "met")
    return markdown_table(heads, rows)


def step_variants(content: dict[str, Any]) -> str:
    """What was tried where convolutions dominate, and what it gave."""
    rows = []
    for found in content["scans"].values():
        tried = found["tried"]
        if "failed" in tried:
            rows.append((found["work"], tried["failed"], "", "", ""))
            continue
        plain = tried["variants"]["as it is"]["median_s"]
        for name, one in tried["variants"].items():
            if "failed" in one:
                rows.append((found["work"], name, one["failed"], "", ""))
                continue
            times = (seconds(one["median_s"]), f"{plain / one['median_s']:.2f}")
            rows.append((found["work"], name, *times, seconds(one["first_step_s"])))
    heads = ("training step", "networks", "time", "times faster", "first step")
    return markdown_table(heads, rows)


def step_shares(content: dict[str, Any]) -> str:
    """Where the time of a step goes."""
    rows = []
    for found in content["scans"].values():
        parts = {"ours" if who == "ours" else "deepinv": one for who, one in _shares(found)}
        parts |= {
            f"ours, {name}": one
            for name, one in found["tried"].get("shares", {}).items()
            if name != "failed"
        }
        for name, one in parts.items():
            share = [f"{seconds(one[k])} ({one[k] / one['step']:.0%})" for k in ("T", "T*", "rest")]
            rows.append((found["work"], name, *share, seconds(one["step"])))
    heads = ("training step", "operator, networks", "T", "T*", "the rest", "all")
    return markdown_table(heads, rows)


def _shares(found: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    return found["deepinv"].get("shares", {}).items()


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    bound = "" if row["target"] is None else f"{'≤' if row['at_most'] else '≥'} {row['target']:g}"
    speed = row["details"].get("giga_updates_per_s")
    return (
        row["work"],
        row["call"].replace("|", "\\|"),
        _quantity(row["ours"], row["unit"]),
        "" if speed is None else f"{speed:.2f}",
        row["peer"],
        _quantity(row["theirs"], row["unit"]),
        "" if row["value"] is None else f"{row['value']:.3g}",
        bound,
        _yes(row["met"]),
    )


def _quantity(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}".strip()


def seconds(value: float) -> str:
    """In s, or in ms below one."""
    return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def _yes(met: bool | None) -> str:  # noqa: FBT001
    return "" if met is None else ("yes" if met else "no")
