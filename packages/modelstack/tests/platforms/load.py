"""A constant load that counts what is lost, on whatever answers; and how to wait for something."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

RATE = 10  # requests a second: a window of five seconds at half of the traffic then has enough for a verdict


@dataclass(frozen=True)
class Asked:
    """One request and its result; the status is 0 without an answer, the variant empty if unknown."""

    id: str
    at: float
    status: int
    variant: str
    text: str = ""


class Load:
    """Asks at a constant rate from `__enter__` to `__exit__`, each request once."""

    def __init__(self, ask: Callable[[str], Asked], name: str, rate: float = RATE, workers: int = 2) -> None:
        self._ask, self._name, self._pause, self._workers = ask, name, workers / rate, workers
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(workers)]
        self.asked: list[Asked] = []

    def _run(self, worker: int) -> None:
        number, due = 0, time.monotonic() + worker * self._pause / self._workers
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._pause, time.monotonic())  # a slow answer is followed by no burst
            self.asked.append(self._ask(f"{self._name}-{worker}-{number}"))
            number += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(90)


def wait_for(question: Callable[[], Any], seconds: float = 300, doing: str = "") -> Any:
    """The first answer that is true, within so many seconds."""
    until = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < until, f"{doing or question}: still {answer!r} after {seconds:g} s"
        time.sleep(0.2)
    return answer
