"""Work that nobody waits for: an error in it is logged at once, and ends no loop.

An error that ends a task is otherwise seen only by who waits for the task. Every task of the cloud is begun here, and
every loop puts what it does in each turn under `log_errors`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def begin(work: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
    """Begin work in a task of its own; an error that ends it is logged under its name."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_tell)
    return task


@contextmanager
def log_errors(what: str) -> Iterator[None]:
    """Log an error of the body, and go on after it."""
    try:
        yield
    except Exception:
        _log.exception("%s failed", what)


def _tell(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.error("%s ended by an error", task.get_name(), exc_info=error)
