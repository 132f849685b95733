"""Conformance checks for your own operators, functionals, steps and methods.

Every check returns a :class:`Report` with one number per property and raises
:class:`~learnedrecon.errors.PropertyError` at the first property that does not hold.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
