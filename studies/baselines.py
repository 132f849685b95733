"""Claim: what is not learned is a level to reach, if it is tuned as what is learned is.

python -m studies.baselines            # studies/results/classical.json
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from benchmarks.harness.tables import Table, table
from learnedrecon.evaluation.scores import evaluate
from learnedrecon.experiments.tuned_baselines import tuned
from learnedrecon.models.classical import FBP
from learnedrecon.specs import to_plain
from studies.common.scans import BLUR, ELLIPSES, VALIDATION_IMAGES, experiment
from studies.common.scores import classical_rows
from studies.common.study import Study

if TYPE_CHECKING:
    from pathlib import Path

    from learnedrecon.schemes.reconstructor import Reconstructor
    from studies.common.study import Found, Job


def classical(job: Job, scans: tuple[str, ...] = ELLIPSES) -> Found:
    """Both methods on every scan; blurs have no filtered back-projection."""
    found: dict[str, Any] = {}
    for scan in scans:
        whole = experiment(scan, FBP().spec)

        def row(model: Reconstructor, name: str, scan: str = scan) -> dict[str, Any]:
            at = experiment(scan, FBP().spec)
            scores = evaluate(name, model, at.batches("test"), at.data_range)
            job.say(f"{scan}, {name}: {scores.psnr.mean():.2f} dB")
            values = [round(float(value), 3) for value in scores.psnr]
            return {"spec": to_plain(model.spec), **scores.to_plain(), "psnr_of_images": values}

        tv = tuned("tv", whole, VALIDATION_IMAGES)
        assert tv.found is not None
        found[scan] = {"tv": {**row(tv.model, "TV"), "tried": list(tv.found.tried)}}
        if scan != BLUR:
            fbp = tuned("fbp", whole, VALIDATION_IMAGES)
            found[scan]["fbp"] = row(fbp.model, "FBP")
    return {"scans": found}


def page(results: Path) -> list[Table | str]:
    """PSNR of both methods on every scan."""
    rows = [
        {"scan": scan, "method": row["title"], "psnr": f"{row['psnr']:.2f}"}
        for scan in ELLIPSES
        for row in classical_rows(results, scan)
    ]
    return [table(rows, {"scan": "scan", "method": "method", "PSNR (dB)": "psnr"})]


STUDY = Study(
    "baselines",
    "Total variation, its weight tuned on validation images, is the level that a learned method "
    "has to reach.",
    "It is better than tuned filtered back-projection by several dB on both scans. Its weight is "
    "tuned at the noise of the test images; on data with other noise it has to be tuned again.",
    {"classical": classical},
    page,
)

if __name__ == "__main__":
    typer.run(STUDY.main)
