"""What the methods against rings do to drawn stripes: run python -m tests.data.raw.rings."""

from __future__ import annotations

import sys

from tests.data.raw.test_stripes import LINES, image_error, striped

from learnedrecon.data.raw.stripes import METHODS, stripes_removed

SEEDS = range(3)


def table() -> str:
    """Relative errors of filtered back-projection against the phantom, one line a method."""
    lines = [f"{'method':10}{'no stripes':>12}" + "".join(f"{f'stripes {k}':>12}" for k in SEEDS)]
    for method in ("none", *METHODS):
        images = [LINES, *(striped(seed) for seed in SEEDS)]
        errors = [image_error(stripes_removed(each[:, None], method)[:, 0]) for each in images]
        lines.append(f"{method:10}" + "".join(f"{error:12.4f}" for error in errors))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
