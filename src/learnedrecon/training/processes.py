"""Work that one of several processes does for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import distributed

from learnedrecon.errors import ConfigError, LearnedReconError, describe

if TYPE_CHECKING:
    from collections.abc import Callable


def by_one(action: Callable[[], None], *, main: bool) -> None:
    """Runs ``action`` in the main process, while the others wait for its end.

    Args:
        action: What is done once, such as writing a file.
        main: Whether this is the main process, which there is one of.

    Raises:
        LearnedReconError: Whatever the action raises; in the other processes a ConfigError, which
            says the same.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        if main:
            action()
        return
    failure: list[str | None] = [None]
    try:
        if main:
            action()
    except BaseException as error:
        failure = [str(error) if isinstance(error, LearnedReconError) else repr(error)]
        raise
    finally:
        if main:
            distributed.broadcast_object_list(failure, src=0)
    if not main:
        distributed.broadcast_object_list(failure, src=0)
        if failure[0] is not None:
            raise ConfigError(
                describe(
                    expected="the main process to begin the run",
                    found=f"that it failed: {failure[0]}",
                    fix="see its message",
                )
            )
