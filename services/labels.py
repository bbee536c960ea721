"""Joins late labels with captured answers: takes in files of either, and sweeps what was left.

    labels = Labels(documents, metrics, rejected, promises)
    labels.take_labels("monday.jsonl", digest, lines)
    labels.take_answers("v-77c1aa20b3f1", "capture/.../12-00.jsonl", written, lines)
    labels.sum_up()                     # once for all files of a call
    labels.sweep()                      # every few minutes

Everything may be called twice, late and at once, and be killed: each pair counts once, see `services.ledger`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from monitoring.exchanges import traffic
from monitoring.labels.answered import Reader
from monitoring.labels.joining import LabelJoin
from monitoring.labels.pairs import Aside, Trial
from monitoring.measurements import Metrics
from services.batches import Batches
from services.ledger import DocumentLedger
from services.ports import Documents
from services.promises import Promises


@dataclass(frozen=True)
class Labels:
    """The labels of one endpoint.

    Attributes:
        documents: Where the ledger is stored.
        metrics: Where losses and counts are published.
        rejected: Where rejected lines are stored.
        promises: What the releases were sealed with.
        now: The time, epoch seconds.
    """

    documents: Documents
    metrics: Metrics
    rejected: Aside
    promises: Promises
    now: Callable[[], float] = time.time
    _batches: Batches = field(init=False, repr=False)
    _join: LabelJoin = field(init=False, repr=False)

    def __post_init__(self) -> None:
        batches = Batches(self.documents, self.metrics, self.now)
        ledger = DocumentLedger(self.documents, batches, self.now)
        object.__setattr__(self, "_batches", batches)
        object.__setattr__(self, "_join", LabelJoin(ledger, self.rejected, Trial.of(self.promises.state)))

    def take_labels(self, name: str, digest: str, lines: Iterable[bytes]) -> int:
        """Take in a file of labels, see `LabelJoin.labels`; how many pairs it completed."""
        return self._join.labels(name, digest, lines)

    def take_answers(self, variant: str, name: str, written: float, lines: Iterable[bytes]) -> int:
        """Take in a file of a variant's captured exchanges; how many pairs it completed.

        Args:
            variant: Who answered.
            name: The file's.
            written: When it was written, epoch seconds.
            lines: Its lines.
        """
        form, segments = self.promises.form(variant), self.promises.settings.segments
        reader = Reader(variant, form, written=written, now=self.now(), segments=segments)
        return self._join.answers(name, reader, traffic(lines))

    def finish(self) -> None:
        """Publish what calls that were killed left behind."""
        self._batches.finish()

    def sum_up(self) -> None:
        """Sum up what was joined since, and publish it."""
        self._batches.sum_up(self.promises.promised)

    def sweep(self) -> int:
        """Join and sum up what was left, and give up labels that wait too long; how many of these."""
        given_up = self._join.sweep(self.promises.settings.wait_seconds)
        self.sum_up()
        return given_up
