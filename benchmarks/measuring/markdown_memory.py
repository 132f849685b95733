"""The tables of benchmarks/memory.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from measuring.markdown import machine, markdown_table

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 2**20


def machine_of(part: str) -> Callable[[dict[str, Any]], str]:
    """Where and how one part was measured."""

    def render(content: dict[str, Any]) -> str:
        found = content["parts"].get(part)
        return _missing(part) if found is None else machine(found)

    return render


def depths(content: dict[str, Any]) -> str:
    """Memory of every case at every depth: held, and at the peak."""
    part = content["parts"].get("depth")
    if part is None:
        return _missing("depth")
    names = next(iter(part["rows"].values()))["steps"]
    rows = []
    for row in part["rows"].values():
        cells = [_pair(one) for one in row["steps"].values()]
        kept = [one["kept_bytes"] for one in row["steps"].values() if "kept_bytes" in one]
        per_step = f"{kept[0] / MIB:.1f} → {kept[-1] / MIB:.1f}" if kept else ""
        verdict = {True: "yes", False: "no", None: ""}[row["met"]]
        rows.append((row["scheme"], row["backward"], *cells, per_step, _reached(row), verdict))
    heads = ("scheme", "backward", *(f"N = {n}" for n in names))
    return markdown_table((*heads, "weights etc.", "reached", "met"), rows)


def largest(content: dict[str, Any]) -> str:
    """The largest depth within the limit."""
    part = content["parts"].get("largest")
    if part is None:
        return _missing("largest")
    limit = part["limit_bytes"]
    found = part["rows"].values()
    rows = [(row["scheme"], row["backward"], *_largest(row, limit)) for row in found]
    return markdown_table(("scheme", "backward", "per step", "largest N", "how"), rows)


def overhead(content: dict[str, Any]) -> str:
    """Seconds of a training step, taken in turns."""
    part = content["parts"].get("time")
    if part is None:
        return _missing("time")
    if "failed" in part:
        return f"Failed: {part['failed']}.\n"
    rows = []
    for name, seconds in part["median_s"].items():
        one = part["ratios"].get(name, {})
        ratio = f"{one['ratio']:.2f}" if one else ""
        target = f"≤ {one['target']:g}" if "target" in one else ""
        met = {True: "yes", False: "no", None: ""}[one.get("met")]
        rows.append((name, f"{seconds:.3g} s", ratio, target, met))
    return markdown_table(("scheme, backward", "step", "over Backprop", "target", "met"), rows)


def _missing(part: str) -> str:
    return f"Not measured yet: `python benchmarks/memory.py --only {part}`.\n"


def _pair(one: dict[str, Any]) -> str:
    if "failed" in one:
        return one["failed"]
    return " / ".join(_mib(one[key]) for key in ("held_bytes", "step_bytes"))


def _mib(size: float) -> str:
    found = size / MIB
    return f"{found:.0f}" if found >= 100 else f"{found:.3g}"


def _reached(row: dict[str, Any]) -> str:
    if "step_bytes" not in row:
        return ""
    held, peak = row["held_bytes"], row["step_bytes"]
    slopes = f"{held['line']['slope'] / MIB:.3g} / {peak['line']['slope'] / MIB:.3g} MiB per step"
    match row["target"]:
        case "constant":
            return f"{held['ratio']:.2f} / {peak['ratio']:.2f} times, to be ≤ 1.25"
        case "states":
            return f"held is the states to {row['worst_gap']:.0%}"
        case _:
            return f"{slopes}, R² {held['line']['r2']:.4f} / {peak['line']['r2']:.4f}"


def _largest(row: dict[str, Any], limit: int) -> tuple[str, str, str]:
    if "failed" in row:
        return "", "", row["failed"]
    if row["depth"] is None:
        grows = f"{row['bytes_per_step'] / MIB:.2g} MiB"
        weights = f"{row['kept_per_step'] / MIB:.2g} MiB of it weights, gradients and moments"
        return grows, "any", weights
    per_step = row.get("bytes_per_step")
    text = "" if per_step is None else f"{per_step / MIB:.3g} MiB"
    if "at_depth" not in row:
        return text, f"{row['depth']}", "extrapolated"
    there, beyond = row["at_depth"], row["beyond"]
    fits = "peak_bytes" in there and there["peak_bytes"] <= limit
    return (
        text,
        f"{row['depth']}",
        f"run: {_gib(there)}, with one more {_gib(beyond)}" + ("" if fits else " (does not fit)"),
    )


def _gib(one: dict[str, Any]) -> str:
    return one["failed"] if "failed" in one else f"{one['peak_bytes'] / 2**30:.2f} GiB"
