"""Joins late labels with captured predictions: takes in files of either, and sweeps the rest.

    labels.take_labels("monday.jsonl", digest, lines)
    labels.take_answers("v-77c1aa20b3f1", "capture/.../12-00.jsonl", written, lines)
    labels.sum_up()                     # once for all files of a call

Everything may be called twice, late and concurrently, and be killed: each pair counts once, see
`modelstack.services.ledger`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from modelstack.monitoring.custom import CustomMetrics
from modelstack.monitoring.exchanges import read
from modelstack.monitoring.labels.answered import Reader
from modelstack.monitoring.labels.joining import LabelJoin
from modelstack.monitoring.labels.pairs import Aside, CurrentTrial
from modelstack.monitoring.measurements import Metrics
from modelstack.services.batches import Batches
from modelstack.services.custom_metrics import deployed
from modelstack.services.ledger import DocumentLedger
from modelstack.services.ports import Documents
from modelstack.services.promises import Promises


@dataclass(frozen=True)
class Labels:
    """The labels of one endpoint; rejected lines go to `rejected`."""

    documents: Documents
    metrics: Metrics
    rejected: Aside
    promises: Promises
    now: Callable[[], float] = time.time
    custom: Callable[[str], CustomMetrics] = deployed
    _batches: Batches = field(init=False, repr=False)
    _join: LabelJoin = field(init=False, repr=False)

    def __post_init__(self) -> None:
        custom = self.custom(self.promises.settings.custom)
        batches = Batches(self.documents, self.metrics, self.now, custom)
        ledger = DocumentLedger(self.documents, batches, self.now)
        object.__setattr__(self, "_batches", batches)
        object.__setattr__(
            self, "_join", LabelJoin(ledger, self.rejected, CurrentTrial.of(self.promises.state), custom=custom)
        )

    def take_labels(self, name: str, digest: str, lines: Iterable[bytes]) -> int:
        """Take in a file of labels, see `LabelJoin.labels`; returns the number of pairs that it completed."""
        return self._join.labels(name, digest, lines)

    def take_answers(self, variant: str, name: str, written: float, lines: Iterable[bytes]) -> int:
        """Take in a file of a variant's captures, written at epoch seconds; returns the pairs that it completed."""
        form, segments = self.promises.form(variant), self.promises.settings.segments
        with_rows = self._join.custom.any_of(labelled=True)
        reader = Reader(variant, form, written=written, now=self.now(), segments=segments, with_rows=with_rows)
        return self._join.answers(name, reader, read(lines))

    def finish(self) -> None:
        """Publish the unfinished batches of calls that were killed."""
        self._batches.finish()

    def sum_up(self) -> None:
        """Merge and publish everything that was joined since."""
        self._batches.sum_up(self.promises.promised)

    def sweep(self) -> int:
        """Join and merge the rest, and give up labels that have waited too long; returns how many."""
        given_up = self._join.sweep(self.promises.settings.wait_seconds)
        self.sum_up()
        return given_up
