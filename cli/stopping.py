"""Ends a command quietly, with everything that it started, when it is told to stop.

`listen` makes Ctrl-C, `kill -TERM` and a closed terminal raise Stopped in the main thread. Who catches it while a
process of its own runs hands that to `Ending`, which asks it once, asks it again, and kills it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil

from cli.page import Page

PATIENCE_S = (15.0, 5.0)
"""What a process has after the first and after the second request to stop, before the next one."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_S = 0.1
_LEFT_S = 3.0  # what the children of an ended process have to see that it has gone
_ENOUGH = 3  # signals after which a command whose processes have ended leaves all else as it is
_heard: list[int] = []  # the signals that came
_at_work: list[Ending] = []  # those that have not finished


class Stopped(KeyboardInterrupt):
    """The command was told to stop.

    Args:
        number: The signal; the exit code follows from it, as in a shell.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.exit_code = 128 + number


def listen() -> None:
    """Raise Stopped in the main thread on SIGINT, SIGTERM and SIGHUP.

    SIGINT and SIGTERM also where they were inherited as ignored, as from a script's `&`; a `nohup` is respected.
    """
    for number in _SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt on every SIGINT and SIGTERM in the block, also where they were inherited as ignored."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: object) -> None:
    """Raise for the first signal; a later one must not interrupt the ending, which looks for it by itself."""
    _heard.append(number)
    if len(_heard) == 1:
        with contextlib.suppress(OSError):  # not print: the signal may have come in the midst of one
            os.write(2, b"\nstopping what is under way; Ctrl-C again stops at once\n")
        raise Stopped(number)
    if len(_heard) >= _ENOUGH and not _at_work:
        os._exit(128 + number)


class Output(Page):
    """A console whose reader may go: a reader that has gone stops the command, as Ctrl-C would, once."""

    def on_broken_pipe(self) -> None:
        """Let later output vanish, and tell the main thread; called in whichever thread was writing."""
        self.quiet = True
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        main = threading.main_thread().ident
        if main is not None and not _heard:  # a Ctrl-C stops the reader of a pipe as well: that is no second one
            signal.pthread_kill(main, signal.SIGINT)


class Ending:
    """Ends a process and all that it started: by SIGINT, so that it finishes what it is at; once more; by force.

    Args:
        process: It may have ended already.
        patience: Seconds after the first and after the second request.
    """

    def __init__(self, process: subprocess.Popen[Any], patience: tuple[float, float] = PATIENCE_S) -> None:
        self._process, self._patience = process, patience
        self._asked = 0
        self._until, self._known = 0.0, 0
        self._family: dict[int, psutil.Process] = {}

    @property
    def begun(self) -> bool:
        """Whether the process was asked at all."""
        return self._asked > 0

    def further(self) -> None:
        """Ask, ask again, or kill, whatever comes next."""
        if not self.begun:
            _at_work.append(self)
        self._look()
        self._asked, self._known = self._asked + 1, len(_heard)
        if self._asked > len(self._patience):
            self._kill()
            return
        self._until = time.monotonic() + self._patience[self._asked - 1]
        self._process.send_signal(signal.SIGINT)

    def tick(self) -> None:
        """Go further when the patience is over, or at another signal."""
        if self.begun and (time.monotonic() >= self._until or len(_heard) > self._known):
            self.further()

    def finish(self) -> None:
        """Return when the process and its children have ended; a Ctrl-C meanwhile goes further at once."""
        step = self.tick if self.begun else self.further
        while True:
            try:
                step()
                while self._process.poll() is None:
                    time.sleep(_POLL_S)
                    self.tick()
                break
            except KeyboardInterrupt:
                step = self.further
        with contextlib.suppress(KeyboardInterrupt):
            psutil.wait_procs(list(self._family.values()), timeout=_LEFT_S)
        self._kill()
        self._process.wait()
        _at_work.remove(self)

    def _look(self) -> None:
        """Remember the children while they can be told by their parent."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                self._family[child.pid] = child

    def _kill(self) -> None:
        if self._process.poll() is None:
            self._look()
            self._process.kill()
        for child in self._family.values():
            with contextlib.suppress(psutil.Error):  # psutil knows a process from a later one with the same number
                child.kill()
