"""The start of the command line; a signal ends it with one line even during imports."""

import gc
import os
import signal
from types import FrameType

# Between two collections of garbage: Python's 700 spend half a second of every start on looking
# through what the imports have just made.
_OBJECTS = 20_000
_ENDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}


def main() -> None:
    """Runs the command line; until a command starts, there is nothing to save.

    Ignored signals, as in the background of a shell, remain ignored.
    """
    for number in _ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    gc.set_threshold(_OBJECTS)
    from learnedrecon.cli.main import app

    app()


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    os.write(2, f"\n{_ENDS[signal.Signals(number)]}.\n".encode())
    os._exit(128 + number)


if __name__ == "__main__":
    main()
