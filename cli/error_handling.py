"""What `make up`, `make demo` and `make down` share: errors are shown without a traceback, and Ctrl-C ends quietly."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from rich.console import Console

from cli.errors import OperatorError
from cli.signals import Output, Stopped, handle_signals


def run(body: Callable[[Console], int], *, stopped: str) -> int:
    """Run a command.

    Args:
        body: Does it; given the console to show things on.
        stopped: What a person is told who stopped it: how it goes on from there.

    Returns:
        The exit code: the body's or its error's; 130 after Ctrl-C, 143 after `kill -TERM`.
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
    """Show an error and what to do about it."""
    console.print("[red]error:[/red]", end=" ")
    console.print(str(error), markup=False)
    if error.hint:
        console.print(f"  {error.hint}", markup=False)
