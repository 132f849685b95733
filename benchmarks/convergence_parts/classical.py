"""What is not learned: filtered back-projection and total variation, tuned on validation images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from learnedrecon.models.initial import FilteredBackprojection

from convergence_parts.scans import BLUR, TEXT, VALIDATION_IMAGES, experiment
from learnedrecon.evaluation.scores import evaluate
from learnedrecon.experiments.tuned_baselines import tuned_fbp, tuned_tv
from learnedrecon.models.classical import FBP, TV
from learnedrecon.specs import to_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.schemes.reconstructor import Reconstructor


def classical(say: Callable[[str], None]) -> dict[str, Any]:
    """Both methods on every scan; blurs have no filtered back-projection."""
    found: dict[str, Any] = {}
    for scan in TEXT:
        whole = experiment(scan, FilteredBackprojection())

        def row(model: Reconstructor, spec: Any, name: str, scan: str = scan) -> dict[str, Any]:  # noqa: ANN401
            at = experiment(scan, FilteredBackprojection())
            scores = evaluate(name, model, at.batches("test"), at.data_range)
            say(f"{scan}, {name}: {scores.psnr.mean():.2f} dB")
            values = [round(float(value), 3) for value in scores.psnr]
            return {"spec": to_plain(spec), **scores.to_plain(), "psnr_of_images": values}

        tv, tuned = tuned_tv(whole, VALIDATION_IMAGES)
        found[scan] = {"tv": {**row(TV(tv), tv, "TV"), "tried": list(tuned.tried)}}
        if scan != BLUR:
            fbp, _ = tuned_fbp(whole, VALIDATION_IMAGES)
            found[scan]["fbp"] = row(FBP(fbp), fbp, "FBP")
    return found
