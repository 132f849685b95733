"""The conformance kit: run it on your own operators, functionals, steps and methods.

Every check returns a :class:`Report` with one number per property and raises
:class:`~learnedrecon.errors.PropertyError` at the first property that does not hold.
"""

from learnedrecon.testing.fixed_points import check_fixed_point
from learnedrecon.testing.functionals import check_functional
from learnedrecon.testing.numbers import dense_matrix
from learnedrecon.testing.operators import check_operator
from learnedrecon.testing.reconstructors import check_reconstructor
from learnedrecon.testing.report import Finding, Report
from learnedrecon.testing.steps import check_step

__all__ = [
    "Finding",
    "Report",
    "check_fixed_point",
    "check_functional",
    "check_operator",
    "check_reconstructor",
    "check_step",
    "dense_matrix",
]
