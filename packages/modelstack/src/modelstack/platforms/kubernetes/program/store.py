"""Storage behind the controller's port: PostgreSQL for captures, labels, audit records and metrics."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from modelstack.monitoring.log import log
from modelstack.platforms.kubernetes import captures, labels, measured, predictions, schema
from modelstack.platforms.kubernetes.audit_records import FIRST, PostgresRecords
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.documents import PostgresDocuments
from modelstack.platforms.kubernetes.prediction_query import PredictionQuery
from modelstack.rollout.core.errors import RolloutError
from modelstack.services.batches import quality

_AGAIN_SECONDS = 5.0


@dataclass
class Store:
    """The database, whose tables are created on first use. `uid` returns that of an endpoint's Rollout."""

    database: Database
    namespace: str
    names: Callable[[], Iterable[str]]
    uid: Callable[[str], str]
    _prepared: bool = field(default=False, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def captures(self, endpoint: str, variant: str, lines: bytes) -> None:
        """Store captured lines; raises as `captures.intake`."""
        captures.intake(self.ready(), endpoint, variant, lines)

    def labels(self, endpoint: str, name: str, lines: bytes) -> None:
        """Store a file of labels; raises as `labels.take_labels`."""
        labels.take_labels(self.ready(), endpoint, name, lines)

    def standings(self, endpoint: str, variants: Sequence[str]) -> dict[str, Any]:
        """The quality of the variants that have labels; raises as `PostgresDocuments.get`."""
        documents = PostgresDocuments(self.ready(), endpoint)
        found = {variant: quality(documents, variant) for variant in variants}
        return {variant: one for variant, one in found.items() if one is not None}

    def records(self, endpoint: str, after: Sequence[str]) -> dict[str, Any]:
        """A page of the audit log after a number; raises as `PostgresRecords.page`, or RolloutError for no number."""
        named = after[0] if after else str(FIRST)
        if not re.fullmatch(r"-?\d{1,19}", named):
            raise RolloutError(f"after: got {named[:40]!r}, expected the number of a record")
        lines, last = PostgresRecords(self.ready(), endpoint, partial(self.uid, endpoint)).page(int(named))
        return {"lines": lines, "next": "" if last is None else str(last)}

    def predictions(self, endpoint: str, asked: Mapping[str, str]) -> dict[str, Any]:
        """A page of the search for a prediction by its id; raises as `PredictionQuery.of` and `predictions.page`."""
        return predictions.page(self.ready(), endpoint, PredictionQuery.of(asked))

    def measured(self) -> str:
        """The metrics for Prometheus; raises as `measured.text`."""
        return measured.text(self.ready(), self.namespace, list(self.names()))

    def prepare(self, stopping: threading.Event) -> None:
        """Create the tables, with retries."""
        while not stopping.is_set():
            try:
                self.ready()
                return
            except Exception as error:  # whatever the database says, it may do later
                log("database not prepared", error=str(error))
                stopping.wait(_AGAIN_SECONDS)

    def ready(self) -> Database:
        """The database with its tables; raises RolloutError if they cannot be created now."""
        if not self._prepared:
            with self._lock:
                if not self._prepared:
                    schema.prepare(self.database)
                    self._prepared = True
        return self.database
