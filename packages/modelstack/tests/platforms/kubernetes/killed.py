"""Processes that are killed between any two statements that they send to PostgreSQL."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

from modelstack.platforms.kubernetes import database
from modelstack.platforms.kubernetes.database import Database


def killed_after(statements: int, url: str, work: Callable[[Database], Any], only: str = "") -> bool:
    """Do something in a process that gets SIGKILL after so many statements; whether it was killed.

    `only` counts these statements alone, such as `COMMIT`: what is killed within a transaction has not begun it.
    """
    child = os.fork()
    if not child:
        _work(statements, url, work, only)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the child says why"
    return False


def _work(statements: int, url: str, work: Callable[[Database], Any], only: str) -> None:
    left, answered = statements, database._Session.run

    def mortal(session: Any, statement: str, **values: Any) -> Any:
        nonlocal left
        answer = answered(session, statement, **values)
        left -= not only or statement == only
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    try:
        database._Session.run = mortal  # type: ignore[method-assign]  of this process alone
        work(Database.of(url))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
