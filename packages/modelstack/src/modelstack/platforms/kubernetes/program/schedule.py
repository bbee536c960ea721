"""Schedule of names, each processed by one thread at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf


@dataclass
class _Entry:
    due: float
    taken: bool = False
    again: float = inf  # when it is due after it is taken


class Schedule:
    """Due times of names. Thread-safe. While it is held, nothing is due."""

    def __init__(self, *, held: bool = False, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._held = held
        self._closed = False
        self._entries: dict[str, _Entry] = {}
        self._begun: dict[str, float] = {}  # when each name was last taken
        self._changed = threading.Condition()

    def add(self, name: str, pause: float = 0.0, spacing: float = 0.0) -> None:
        """Make a name due in `pause` seconds, and `spacing` seconds after it was last taken; an earlier time stays.

        A taken one is due again after `done`.
        """
        with self._changed:
            due = max(self._now() + pause, self._begun.get(name, -inf) + spacing)
            entry = self._entries.setdefault(name, _Entry(due))
            if entry.taken:
                entry.again = min(entry.again, due)
            entry.due = min(entry.due, due)
            self._changed.notify_all()

    def drop(self, name: str) -> None:
        """Remove a name; a taken one does not become due again."""
        with self._changed:
            self._entries.pop(name, None)
            self._begun.pop(name, None)

    def hold(self, held: bool) -> None:
        """Hold all names, or release them."""
        with self._changed:
            self._held = held
            self._changed.notify_all()

    def take(self, most: float = 5.0) -> str | None:
        """The longest overdue name, not due again before `done`; None after `most` seconds without one."""
        until = self._now() + most
        with self._changed:
            while not self._closed and (now := self._now()) < until:
                name, due = self._first()
                if name is not None and due <= now:
                    self._entries[name].taken = True
                    self._begun[name] = now
                    return name
                self._changed.wait(min(due, until) - now)
            return None

    def done(self, name: str, pause: float | None) -> None:
        """Return a taken name: due in `pause` seconds, or earlier if it was added meanwhile. None removes it."""
        with self._changed:
            entry = self._entries.get(name)
            if entry is None:
                return
            due = min(entry.again, inf if pause is None else self._now() + pause)
            if due == inf:
                del self._entries[name]
                return
            self._entries[name] = _Entry(due)
            self._changed.notify_all()

    def behind(self, name: str) -> float:
        """Seconds for which a name has been due; 0 if it is not, infinity if it is unknown."""
        with self._changed:
            entry = self._entries.get(name)
            return max(0.0, self._now() - entry.due) if entry is not None else inf

    def close(self) -> None:
        """Make nothing due any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def taken(self) -> int:
        """The number of taken names."""
        with self._changed:
            return sum(entry.taken for entry in self._entries.values())

    def _first(self) -> tuple[str | None, float]:
        free = [] if self._held else [(one.due, name) for name, one in self._entries.items() if not one.taken]
        due, name = min(free, default=(inf, None))
        return name, due
