"""The start of the command line; a signal ends it with one line even during imports."""

import os
import signal
from types import FrameType

_ENDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}


def main() -> None:
    """Runs the command line; until a command starts, there is nothing to save.

    Ignored signals, as in the background of a shell, remain ignored.
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
