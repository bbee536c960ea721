"""Uploads true labels, to be joined with the predictions that they are about."""

from __future__ import annotations

import hashlib
import heapq
import json
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from modelstack.cli.errors import UNKNOWN, OperatorError
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.monitoring.labels.lines import parse

LINES_PER_FILE = 5000  # which is taken in well within the time that there is
_EVERY_SECONDS = 1.0
_ATTEMPTS = 3
_SHOWN = 5


def read(lines: Iterable[bytes]) -> list[bytes]:
    """The non-blank lines of a labels file; raises OperatorError unless each has an inference id and a label."""
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
    """Upload lines and return the files' addresses. Idempotent: a file is named by its content."""
    platform, made = platform_of(target), list[str]()
    for start in range(0, len(lines), LINES_PER_FILE):
        content = b"\n".join(lines[start : start + LINES_PER_FILE]) + b"\n"
        made.append(platform.bring_labels(f"{hashlib.sha256(content).hexdigest()[:32]}.jsonl", content))
    return made


class LateLabels:
    """Uploads each label some seconds after its answer from a background thread; the block's end waits for all.

    A failed upload is retried with the next labels, and at the end until three attempts in a row have failed. `after`
    is seconds, None for each label's own lateness. `failure` is that of the last batch, None without one.
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
        """Add the true label of a new answer, and its lateness in seconds."""
        line = json.dumps({"inference_id": inference_id, "label": label}).encode()
        after = lateness if self._after is None else self._after
        with self._lock:
            self.known += 1
            heapq.heappush(self._waiting, (time.monotonic() + after, line))

    @property
    def unsent(self) -> list[bytes]:
        """The lines that were not uploaded, by due time."""
        with self._lock:
            return [line for _, line in sorted(self._waiting)]

    def hurry(self) -> None:
        """Upload the remaining labels now."""
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
    """Write the labels that were not uploaded to a file, and return the error that names it."""
    lines = late.unsent
    content = b"\n".join(lines) + b"\n"
    folder.mkdir(exist_ok=True)
    path = folder / f"labels-not-sent-{hashlib.sha256(content).hexdigest()[:8]}.jsonl"
    path.write_bytes(content)
    why = f": {late.failure}" if late.failure else ""
    return OperatorError(
        f"{len(lines):,} labels were not sent{why}",
        f"They lie in {path}; send them with `{late.target.commands.modelstack} labels {path}`.",
        UNKNOWN,
    )
