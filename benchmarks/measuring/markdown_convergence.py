"""The tables of benchmarks/convergence.py that need no training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from measuring.markdown import markdown_table, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def solvers_table(content: dict[str, Any]) -> str:
    """Evaluations and seconds to a residual, and over those of our Anderson.

    Then when the peer stops by its own rule, whether images depend on their batch, and whether the
    evaluations depend on units.
    """
    part = _part(content, "solvers")
    if part is None:
        return _missing("solvers")
    parts = [_solvers(part), _own_rule(part), _neighbours(part), _units(part)]
    if "missing" in part["peer"]:
        parts.append(f"{part['peer']['missing']}.\n")
    return "\n".join(text for text in parts if text)


def gradients_table(content: dict[str, Any]) -> str:
    """Errors of the implicit gradient, of unrolled iterations and of JacobianFree."""
    part = _part(content, "gradients")
    if part is None:
        return _missing("gradients")
    return "\n".join([_curves(part), _checks(part), _unrolled(part), _free(part)])


def _part(content: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Of a result with many parts, or the part itself."""
    return content["parts"].get(name) if "parts" in content else content


def _missing(part: str) -> str:
    return f"Not measured yet: `python benchmarks/convergence.py --only {part}`.\n"


def _keys(part: dict[str, Any]) -> list[str]:
    return [f"{tolerance:.0e}" for tolerance in part["tolerances"]]


def _rows(part: dict[str, Any]) -> Iterable[tuple[str, str, list[dict[str, Any]]]]:
    """Images, solver, and what it did at every tolerance; without those that were not timed."""
    for size, solvers in part["batches"].items():
        for name, row in solvers.items():
            if "largest_difference_to_picard" not in row:
                yield size, name, [row["tolerances"][key] for key in _keys(part)]


def _solvers(part: dict[str, Any]) -> str:
    rows = [
        (size, name, *(_needed(one, part["limit"]) for one in found))
        for size, name, found in _rows(part)
    ]
    text = markdown_table(("images", "solver", *_keys(part)), rows)
    plain = [
        row["largest_difference_to_picard"]
        for solvers in part["batches"].values()
        for row in solvers.values()
        if "largest_difference_to_picard" in row
    ]
    if plain:
        text += (
            f"\nWithout acceleration deepinv's residuals are those of Picard to {max(plain):.0e}.\n"
        )
    return text


def _needed(one: dict[str, Any], limit: int) -> str:
    if not one["converged"]:
        return f"not in {limit}, residual {one['residual']:.1e}"
    text = f"{one['evaluations']}, {seconds(one['seconds']['median_s'])}"
    if one.get("evaluations_over_ours", 1.0) == 1.0 == one.get("seconds_over_ours", 1.0):
        return text
    ratios = [
        f"{one[key]:.1f}×" for key in ("evaluations_over_ours", "seconds_over_ours") if key in one
    ]
    return f"{text} ({', '.join(ratios)})" if ratios else text


def _own_rule(part: dict[str, Any]) -> str:
    rows = []
    for size, name, found in _rows(part):
        stops = [one.get("own_rule", "") for one in found]
        if all(stop == "" for stop in stops):
            continue
        cells = ["no stop" if stop is None else _stop(stop) for stop in stops]
        rows.append((size, name, *cells))
    if not rows:
        return ""
    heads = ("images", "stopped by its own rule", *_keys(part))
    return markdown_table(heads, rows)


def _stop(stop: dict[str, Any]) -> str:
    return f"after {stop['evaluations']}, residual {stop['residual']:.1e}"


def _neighbours(part: dict[str, Any]) -> str:
    found = part["neighbours"]
    rows = []
    for precision in ("as it is", "float64"):
        for name, one in found[precision].items():
            if name == "one evaluation":
                continue
            own, equal = one["own rule"], one["equal evaluations"]
            alone = own["evaluations_alone"]
            rows.append(
                (
                    precision.replace("as it is", part["work"].rpartition(", ")[2]),
                    name,
                    f"{own['largest_relative_difference']:.1e}",
                    f"{min(alone)}-{max(alone)} / {own['evaluations_together']}",
                    f"{equal['largest_relative_difference']:.1e}",
                )
            )
    heads = (
        f"alone and among {found['images']}, tolerance {found['tolerance']:.0e}",
        "solver",
        "largest difference",
        "evaluations alone / together",
        "difference after as many",
    )
    return markdown_table(heads, rows)


def _units(part: dict[str, Any]) -> str:
    found = part["units"]["evaluations"]
    factors = list(next(iter(found.values())))
    rows = [
        (name, *(str(counts[c] or f"not in {part['limit']}") for c in factors))
        for name, counts in found.items()
    ]
    at = f"{part['units']['tolerance']:.0e}"
    return markdown_table((f"evaluations to {at}, image in other units", *factors), rows)


def _curves(part: dict[str, Any]) -> str:
    pairs = zip(*part["curves"].values(), strict=True)
    rows = [
        (
            f"{both['tolerance']:.0e}",
            f"{both['residual']:.1e}",
            f"{both['evaluations']} / {both['backward_evaluations']}",
            f"{both['error']:.1e}",
            f"{forward['error']:.1e}",
        )
        for both, forward in pairs
    ]
    heads = (
        "tolerance",
        "residual",
        "evaluations, forward / backward",
        "error of the gradient",
        "backward solved to 1e-12",
    )
    return markdown_table(heads, rows)


def _checks(part: dict[str, Any]) -> str:
    slopes = [part["slopes"][name] for name in ("both", "forward")]
    last = part["unrolled"][-1]
    differences = part["differences"]
    return (
        f"Slope of log error against log residual: {slopes[0]['slope']:.2f} (R² "
        f"{slopes[0]['r2']:.3f}), {slopes[1]['slope']:.2f} with an exact backward solve; the error "
        f"is {slopes[0]['error_over_residual']:.3g} times the residual (median). "
        f"{last['iterations']} unrolled iterations agree to {last['error']:.1e}, central "
        f"differences in {len(differences['directions'])} random directions to "
        f"{differences['agreement']:.1e}. {part['work']}, {part['parameters']} parameters, "
        f"{part['loss']}.\n"
    )


def _unrolled(part: dict[str, Any]) -> str:
    return _agreements("unrolled iterations", part["unrolled"], "iterations")


def _free(part: dict[str, Any]) -> str:
    return _agreements("JacobianFree, steps", part["jacobian_free"], "steps")


def _agreements(title: str, found: Sequence[dict[str, Any]], key: str) -> str:
    return markdown_table(
        (title, *(str(one[key]) for one in found)),
        [
            ("relative error", *(f"{one['error']:.1e}" for one in found)),
            ("1 - cosine", *(f"{max(1 - one['cosine'], 0):.1e}" for one in found)),
        ],
    )
