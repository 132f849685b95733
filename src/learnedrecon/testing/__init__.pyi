from .fixed_points import check_fixed_point as check_fixed_point
from .functionals import check_functional as check_functional
from .numbers import dense_matrix as dense_matrix
from .operators import check_operator as check_operator
from .reconstructors import check_reconstructor as check_reconstructor
from .report import Finding as Finding
from .report import Report as Report
from .steps import check_step as check_step

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
