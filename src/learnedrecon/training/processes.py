"""Work that one of several processes does for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import distributed

from learnedrecon.errors import ConfigError, LearnedReconError, describe

if TYPE_CHECKING:
    from collections.abc import Callable


def by_one(action: Callable[[], None], *, main: bool) -> None:
    """A call of ``action`` in the main process, while the others wait.

    Args:
        action: Function that is called once, such as one that writes a file.
        main: True in the main process, of which there is one.

    Raises:
        LearnedReconError: The action raised it.
        ConfigError: In another process, with the same message.
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
                    found=f"its failure: {failure[0]}",
                    fix="see the message of the main process",
                )
            )
