"""Constants, solvers and open functions that ``torch.compile`` and ``torch.export`` do not trace.

``torch.compiler.disable`` and ``assume_constant_result`` as decorators would import the compiler
together with this package, which takes a second.
"""

from __future__ import annotations

from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

import torch
from torch.utils._python_dispatch import _disable_current_modes

from learnedrecon.errors import DifferentiationError, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from functools import _lru_cache_wrapper, _SingleDispatchCallable

P = ParamSpec("P")
R = TypeVar("R")
Context: TypeAlias = Any
"""The context of a torch.autograd.Function, which takes attributes of any name."""

_REAL = {
    torch.complex32: torch.float16,
    torch.complex64: torch.float32,
    torch.complex128: torch.float64,
}


def real_of(dtype: torch.dtype) -> torch.dtype:
    """The real dtype of a precision: ``dtype.to_real()``, which breaks compiled graphs.

    Args:
        dtype: Real or complex dtype.
    """
    return _REAL.get(dtype, dtype)


def constant(maxsize: int = 32) -> Callable[[Callable[..., R]], _lru_cache_wrapper[R]]:
    """A decorator for functions of hashable values: cached, and constants of compiled code.

    The function runs outside of traced code, so that the cache contains numbers. It must depend
    only on its positional arguments, and its result must not be changed in place.
    Code is compiled again for another object, such as an equal geometry.

    Args:
        maxsize: Largest number of cached results; the least recently used one is removed first.
    """

    def decorate(function: Callable[..., R]) -> _lru_cache_wrapper[R]:
        kept = lru_cache(maxsize)(function)

        @wraps(function)
        def call(*args: Hashable) -> R:
            with _disable_current_modes(), torch.inference_mode(mode=False):
                return kept(*args)

        # The compiler names its constants after the code, and takes equal names for one constant.
        name = f"{function.__module__}_{function.__qualname__}".replace(".", "_")
        marked: Any = call
        marked.__code__ = marked.__code__.replace(co_name=name)
        marked._dynamo_marked_constant = True  # noqa: SLF001 - what assume_constant_result sets
        marked.cache_clear = kept.cache_clear
        return marked

    return decorate


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator for functions that run outside of compiled code, as they depend on values.

    With ``fullgraph=True`` the compiler raises an error, and export raises ours.

    Args:
        function: Function to run without compilation.

    Raises:
        DifferentiationError: ``torch.export`` reaches the function.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not torch.compiler.is_compiling():
            return function(*args, **kwargs)
        if torch.compiler.is_exporting():
            raise DifferentiationError(
                describe(
                    expected="a graph that is the same for all numbers, for torch.export",
                    found=f"{function.__qualname__}, which looks at numbers",
                    fix="call the model once before, so that norms are known; export a method with"
                    " a fixed number of steps, without solvers",
                )
            )
        return torch.compiler.disable(function)(*args, **kwargs)

    return call


def open_function(default: Callable[..., R]) -> _SingleDispatchCallable[R]:
    """A ``functools.singledispatch`` whose dispatch by kind compiled code can trace.

    Args:
        default: Function for arguments of no registered kind.
    """
    kinds: dict[type, Callable[..., R]] = {}

    def dispatch(kind: type) -> Callable[..., R]:
        for base in kind.__mro__:
            if base in kinds:
                return kinds[base]
        return default

    def register(kind: type) -> Callable[[Callable[..., R]], Callable[..., R]]:
        def decorate(function: Callable[..., R]) -> Callable[..., R]:
            kinds[kind] = function
            return function

        return decorate

    @wraps(default)
    def call(*args: Any, **kwargs: Any) -> R:  # noqa: ANN401 - whatever the function takes
        return dispatch(type(args[0]))(*args, **kwargs)

    opened: Any = call
    opened.register, opened.dispatch = register, dispatch
    return opened
