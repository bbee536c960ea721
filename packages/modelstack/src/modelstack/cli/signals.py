"""Ends a command and the processes it started when it is stopped.

`handle_signals` makes Ctrl-C, `kill -TERM` and a closed terminal raise Stopped in the main thread. `terminate` then
ends a child process.
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

from modelstack.cli.page import Page

PATIENCE_S = (15.0, 5.0)  # seconds after the first and the second interrupt, before the next step

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_S = 0.1
_CHILDREN_S = 3.0  # what the children of an ended process have to notice that
_AT_ONCE = 3  # signals after which a command whose processes have ended exits without any clean-up
_received: list[int] = []
_terminating: list[subprocess.Popen[Any]] = []


class Stopped(KeyboardInterrupt):
    """The command was stopped by a signal, which determines the exit code as in a shell."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.exit_code = 128 + number


def handle_signals() -> None:
    """Raise Stopped in the main thread on SIGINT, SIGTERM and SIGHUP.

    SIGINT and SIGTERM also where they were inherited as ignored, as from a script's `&`; `nohup` is respected.
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
    """Raise for the first signal; a later one must not interrupt `terminate`, which checks for it."""
    _received.append(number)
    if len(_received) == 1:
        with contextlib.suppress(OSError):  # not print: the signal may have come in the midst of one
            os.write(2, b"\nstopping what is under way; Ctrl-C again stops at once\n")
        raise Stopped(number)
    if len(_received) >= _AT_ONCE and not _terminating:
        os._exit(128 + number)


class Output(Page):
    """A console that stops the command once, as Ctrl-C does, when its reader is gone."""

    def on_broken_pipe(self) -> None:
        """Discard later output and signal the main thread; called in the writing thread."""
        self.quiet = True
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        main = threading.main_thread().ident
        if main is not None and not _received:  # a Ctrl-C stops the reader of a pipe as well: that is no second one
            signal.pthread_kill(main, signal.SIGINT)


def terminate(process: subprocess.Popen[Any], patience: tuple[float, ...] = PATIENCE_S) -> None:
    """End a process and its children: SIGINT, so that it finishes its current step; SIGINT again; SIGKILL.

    A signal meanwhile skips to the next step. `patience` is seconds after each SIGINT.
    """
    children: dict[int, psutil.Process] = {}
    _terminating.append(process)
    for seconds in patience:
        with contextlib.suppress(KeyboardInterrupt):
            _remember_children(process, children)
            process.send_signal(signal.SIGINT)
            known, end = len(_received), time.monotonic() + seconds
            while process.poll() is None and time.monotonic() < end and len(_received) == known:
                time.sleep(_POLL_S)
        if process.poll() is not None:
            break
    else:
        _remember_children(process, children)
        _kill(process, *children.values())
    with contextlib.suppress(KeyboardInterrupt):
        psutil.wait_procs(list(children.values()), timeout=_CHILDREN_S)
    _kill(*children.values())
    process.wait()
    _terminating.remove(process)


def _remember_children(process: subprocess.Popen[Any], children: dict[int, psutil.Process]) -> None:
    """Add the children while their parent can list them."""
    with contextlib.suppress(psutil.Error):
        children |= {child.pid: child for child in psutil.Process(process.pid).children(recursive=True)}


def _kill(*processes: psutil.Process | subprocess.Popen[Any]) -> None:
    for one in processes:
        with contextlib.suppress(psutil.Error):  # psutil knows a process from a later one with the same number
            one.kill()
