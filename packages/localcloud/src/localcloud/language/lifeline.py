"""When does a plugin end? With the engine that started it, quietly, and with every process of its own.

The engine starts a plugin as the leader of a process group, holds the other end of its stdin, and ends it by SIGINT to
the group; an engine that is killed only lets go of stdin.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

_PATIENCE_S = 2.0
_ENDINGS = (signal.SIGINT, signal.SIGTERM)
_WAKE = signal.SIGURG
_WAKE_AGAIN_S = 0.05
_WAKES = 100
_heard: list[int] = []


def hold() -> None:
    """End this process when the engine has gone. The program then sees an empty stdin, as under the official host."""
    listen()
    held = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    threading.Thread(target=_until_closed, args=(held,), name="engine", daemon=True).start()


def listen() -> None:
    """Raise KeyboardInterrupt in the main thread on SIGINT and SIGTERM, whatever it waits for.

    Python runs handlers in the main thread, but the system may deliver a signal to any thread, such as one of gRPC's,
    and the main one then waits on. And SIGINT stays ignored where it was inherited so, as from a shell's `&`.
    """
    for name in _ENDINGS:
        signal.signal(name, _interrupt)
    signal.signal(_WAKE, _nothing)
    sys.unraisablehook = _raise_again
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    threading.Thread(target=_wake_main, args=(reads,), name="signals", daemon=True).start()


def leave(code: int, first: Callable[[], object] = int) -> NoReturn:
    """Exit without waiting for threads and without a word, exit handlers run. Nothing interrupts it any more.

    An engine that closes cancels a running program and then sends SIGINT: the second of two interrupts meets what the
    first one began. And threads fail when what they work with is taken down, which is no news to anybody.

    Args:
        code: The exit code.
        first: Done before all else.
    """
    for name in _ENDINGS:
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(name, _nothing)  # SIG_IGN would be told about a signal that is on its way to a handler
    threading.excepthook = sys.unraisablehook = _nothing
    patience = threading.Timer(_PATIENCE_S, os._exit, (code,))
    patience.daemon = True
    patience.start()
    first()
    atexit._run_exitfuncs()  # os._exit below leaves them out, and the engine kills who takes longer than five seconds
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _interrupt(number: int, _frame: object) -> NoReturn:
    _heard.append(number)
    raise KeyboardInterrupt


def _raise_again(lost: "sys.UnraisableHookArgs") -> None:
    """Interrupt again where an interrupt was dropped because it met a finalizer, which may raise nothing."""
    if lost.exc_type is KeyboardInterrupt:
        threading.Timer(_WAKE_AGAIN_S, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)


def _nothing(*_: object) -> None:
    pass


def _wake_main(reads: int) -> None:
    main = threading.main_thread().ident or 0
    while received := os.read(reads, 64):
        if not any(number in _ENDINGS for number in received):
            continue
        for _ in range(_WAKES):  # one that comes just before the main thread falls asleep is lost
            if _heard:
                break
            signal.pthread_kill(main, _WAKE)
            time.sleep(_WAKE_AGAIN_S)
        _heard.clear()


def _until_closed(held: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(held, 4096):
            pass
    leads = os.getpgrp() == os.getpid()
    threading.Timer(_PATIENCE_S, _end, (leads,)).start()
    if leads:
        os.killpg(0, signal.SIGINT)
    else:
        os.kill(os.getpid(), signal.SIGINT)


def _end(leads: bool) -> None:
    if leads:
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
