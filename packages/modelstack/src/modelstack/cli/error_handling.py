"""Shared by `make up`, `make demo` and `make down`: errors without a traceback, and a quiet end on Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from rich.console import Console

from modelstack.cli.errors import OperatorError
from modelstack.cli.signals import Output, Stopped, handle_signals


def run(body: Callable[[Console], int], *, stopped: str) -> int:
    """Run a command with a console; returns its exit code: 130 after Ctrl-C, 143 after `kill -TERM`.

    `stopped` is printed after a Ctrl-C: how to continue.
    """
    if threading.current_thread() is threading.main_thread():
        handle_signals()
    console = Output(highlight=False, soft_wrap=True, emoji=False)
    try:
        return body(console)
    except OperatorError as error:
        show_error(console, error)
        return error.exit_code
    except KeyboardInterrupt as stop:
        with suppress(KeyboardInterrupt):  # its reader was stopped with us
            console.print(f"\nstopped; {stopped}", markup=False)
        return stop.exit_code if isinstance(stop, Stopped) else 130


def show_error(console: Console, error: OperatorError) -> None:
    """Show an error and its hint."""
    console.print("[red]error:[/red]", end=" ")
    console.print(str(error), markup=False)
    if error.hint:
        console.print(f"  {error.hint}", markup=False)
