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
from typing import NoReturn

_PATIENCE_S = 2.0


def hold() -> None:
    """End this process when the engine has gone. The program then sees an empty stdin, as under the official host."""
    # Python leaves SIGINT ignored when it was inherited so, as shells do for a command in the background.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, _interrupt)
    held = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    threading.Thread(target=_watch, args=(held,), name="lifeline", daemon=True).start()


def leave(code: int) -> NoReturn:
    """Exit without waiting for threads and without a word, exit handlers run."""
    for name in ("SIGINT", "SIGTERM"):
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Timer(_PATIENCE_S, os._exit, (code,)).start()
    atexit._run_exitfuncs()  # os._exit below leaves them out, and the engine kills who takes longer than five seconds
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _watch(held: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(held, 4096):
            pass
    leads = os.getpgrp() == os.getpid()
    threading.Timer(_PATIENCE_S, _end, (leads,)).start()
    if leads:
        os.killpg(0, signal.SIGINT)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _end(leads: bool) -> None:
    if leads:
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
