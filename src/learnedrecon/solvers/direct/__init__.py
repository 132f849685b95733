"""Direct reconstruction: filtered backprojection, gridding, and other pseudo-inverses.

Importing this package registers the pseudo-inverses of all operators with
:func:`learnedrecon.solvers.direct.pseudo_inverse.pseudo_inverse`.
"""

from learnedrecon.solvers.direct import fbp, fdk, gridding, isometries, spectral

__all__ = ["fbp", "fdk", "gridding", "isometries", "spectral"]
