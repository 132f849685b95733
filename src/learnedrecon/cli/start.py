"""Start of the command line, which a signal ends with one line also while it is imported."""

import os
import signal
from types import FrameType

_ENDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}


def main() -> None:
    """Runs the command line; until a command begins, there is nothing to save.

    A signal that is ignored, as in the background of a shell, stays so.
    """
    for number in _ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    from learnedrecon.cli.main import app

    app()


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    os.write(2, f"\n{_ENDS[signal.Signals(number)]}.\n".encode())
    os._exit(128 + number)


if __name__ == "__main__":
    main()
