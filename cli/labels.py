"""Brings true labels to where they are joined with the answers that they are about.

upload(target, read(file))                    # what `modelstack labels FILE` does
with LateLabels(target, after=30) as late:    # what a replay does with what it knows
    late.add("2013-03-01-UA1545-EWR.1f3c", True)
"""

from __future__ import annotations

import hashlib
import heapq
import json
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cli.errors import OperatorError
from cli.platform.choose import platform_of
from cli.target import Target
from monitoring.labels.lines import parse

LINES_PER_FILE = 5000  # which is taken in well within the time that there is
_EVERY_SECONDS = 1.0
_ATTEMPTS = 3
_SHOWN = 5


def read(lines: Iterable[bytes]) -> list[bytes]:
    """The lines of a labels file that are not blank.

    Raises:
        OperatorError: A line holds no inference id with a label, or there is none; nothing was sent.
    """
    kept: list[bytes] = []
    wrong: list[str] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                parse(line)
            except ValueError as error:
                wrong.append(f"line {number}: {error}")
            kept.append(line.strip())
    if wrong or not kept:
        more = [f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        problem = "no label was sent: " + "; ".join([*wrong[:_SHOWN], *more]) if wrong else "the file holds no labels"
        raise OperatorError(problem, 'Each line is to be like {"inference_id": "order-17", "label": true}.', 2)
    return kept


def upload(target: Target, lines: Sequence[bytes]) -> list[str]:
    """Bring lines to where they are joined; the same lines are one file, so a repetition changes nothing.

    Returns:
        The addresses of the files.
    """
    platform, made = platform_of(target), list[str]()
    for start in range(0, len(lines), LINES_PER_FILE):
        content = b"\n".join(lines[start : start + LINES_PER_FILE]) + b"\n"
        made.append(platform.bring_labels(f"{hashlib.sha256(content).hexdigest()[:32]}.jsonl", content))
    return made


class LateLabels:
    """Sends each label some seconds after its answer, from a thread of its own; the end of the block waits for all.

    What cannot be sent is tried again with the next ones, and at the end until three attempts in a row have failed.

    Args:
        target: The endpoint's stack.
        after: How many seconds; None takes those that are given with the label.

    Attributes:
        known: How many labels were given.
        sent: How many of them were sent.
        failure: Why the last batch was not sent; None when it was.
    """

    def __init__(self, target: Target, after: float | None) -> None:
        self.target, self._after = target, after
        self._waiting: list[tuple[float, bytes]] = []  # a heap: the next one that is due comes first
        self._lock = threading.Lock()
        self._ended, self._hurry = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="labels", daemon=True)
        self.known = self.sent = 0
        self.failure: OperatorError | None = None

    def add(self, inference_id: str, label: Any, lateness: float = 0.0) -> None:
        """Note the true label of an answer that was just given, and after how many seconds it would be known."""
        line = json.dumps({"inference_id": inference_id, "label": label}).encode()
        after = lateness if self._after is None else self._after
        with self._lock:
            self.known += 1
            heapq.heappush(self._waiting, (time.monotonic() + after, line))

    @property
    def unsent(self) -> list[bytes]:
        """The lines of labels that were not sent, in the order of their times."""
        with self._lock:
            return [line for _, line in sorted(self._waiting)]

    def hurry(self) -> None:
        """Wait no longer for any label's time: those that wait are sent at once."""
        self._hurry.set()
        self._ended.set()

    def __enter__(self) -> LateLabels:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self.hurry()
            self._thread.join(timeout=60)

    def _run(self) -> None:
        failed = 0
        while True:
            ending = self._ended.is_set()
            failed = 0 if self._send(self._due()) else failed + 1
            if ending and (not self._waiting or failed >= _ATTEMPTS):
                return
            (self._hurry if ending else self._ended).wait(_EVERY_SECONDS)

    def _due(self) -> list[bytes]:
        due: list[bytes] = []
        with self._lock:
            while self._waiting and (self._hurry.is_set() or self._waiting[0][0] <= time.monotonic()):
                due.append(heapq.heappop(self._waiting)[1])
        return due

    def _send(self, lines: list[bytes]) -> bool:
        try:
            upload(self.target, lines)
        except OperatorError as error:  # the traffic goes on; the end says it
            self.failure = error
            with self._lock:
                for line in lines:
                    heapq.heappush(self._waiting, (time.monotonic(), line))
            return False
        self.sent += len(lines)
        self.failure = None if lines else self.failure
        return True


def not_sent(late: LateLabels, folder: Path) -> OperatorError:
    """Keep the labels that were not sent in a file, and say so."""
    lines = late.unsent
    content = b"\n".join(lines) + b"\n"
    folder.mkdir(exist_ok=True)
    path = folder / f"labels-not-sent-{hashlib.sha256(content).hexdigest()[:8]}.jsonl"
    path.write_bytes(content)
    why = f": {late.failure}" if late.failure else ""
    return OperatorError(
        f"{len(lines):,} labels were not sent{why}",
        f"They lie in {path}; send them with `{late.target.commands.modelstack} labels {path}`.",
    )
