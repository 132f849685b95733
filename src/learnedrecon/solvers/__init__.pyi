from .anderson import Anderson as Anderson
from .axis.search import AxisResult as AxisResult
from .axis.search import rotation_axis as rotation_axis
from .cg import cg as cg
from .cg_sense import cg_sense as cg_sense
from .coils.coil_maps import rss as rss
from .coils.coil_maps import whiten as whiten
from .coils.espirit import espirit as espirit
from .direct.bandwidth import fbp_by_noise as fbp_by_noise
from .direct.fbp import fbp as fbp
from .direct.fdk import fdk as fdk
from .direct.gridding import gridding as gridding
from .direct.pseudo_inverse import has_pseudo_inverse as has_pseudo_inverse
from .direct.pseudo_inverse import pseudo_inverse as pseudo_inverse
from .fista import fista as fista
from .fixed_point import Picard as Picard
from .lsqr import lsqr as lsqr
from .noise_level import estimate_noise as estimate_noise
from .normal import NormalSolver as NormalSolver
from .normal import solve_normal as solve_normal
from .pdhg import Term as Term
from .pdhg import pdhg as pdhg
from .result import SolverResult as SolverResult
from .tv import tv_reconstruction as tv_reconstruction
from .tv_weight import scaled_tv_weight as scaled_tv_weight
from .tv_weight import tv_by_discrepancy as tv_by_discrepancy

__all__ = [
    "Anderson",
    "AxisResult",
    "NormalSolver",
    "Picard",
    "SolverResult",
    "Term",
    "cg",
    "cg_sense",
    "espirit",
    "estimate_noise",
    "fbp",
    "fbp_by_noise",
    "fdk",
    "fista",
    "gridding",
    "has_pseudo_inverse",
    "lsqr",
    "pdhg",
    "pseudo_inverse",
    "rotation_axis",
    "rss",
    "scaled_tv_weight",
    "solve_normal",
    "tv_by_discrepancy",
    "tv_reconstruction",
    "whiten",
]
