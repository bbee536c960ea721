"""Mirrors the rollouts of a namespace to MLflow, in its own thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from modelstack.monitoring.log import log
from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.rounds import Rounds
from modelstack.records.tracking.api import Api
from modelstack.records.tracking.logged import Shelf
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState
from modelstack.services.worker import mirror

LOOK = 10.0  # seconds between two checks for changes
AGAIN = 60.0  # seconds until an incomplete update is retried
ANYWAY = 600.0
"""Seconds until an unchanged endpoint is compared again, because somebody may have changed MLflow."""


@dataclass
class Mirroring:
    """The mirror of a namespace's endpoints. `today` gives epoch seconds, `now` monotonic ones."""

    mlflow: Callable[[], AbstractContextManager[Api]]
    revision: Callable[[str], int]
    read: Callable[[str], RolloutState]
    manifest: Callable[[Release], bytes]
    today: Callable[[], float] = time.time
    now: Callable[[], float] = time.monotonic
    _told: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]], init=False)

    def follow(self, rounds: Rounds) -> None:
        """Update the due endpoints periodically while this process leads."""
        for names in rounds.every(LOOK):
            for name in self.due(names or ()):
                if rounds.stopping.is_set() or not self.run(name):
                    break  # it is down: the others would wait as long each

    def due(self, names: Collection[str]) -> list[str]:
        """The endpoints that changed since the last update, or are to be compared again."""
        for gone in self._told.keys() - set(names):
            del self._told[gone]
        return [name for name in sorted(names) if self._is_due(name)]

    def run(self, name: str) -> bool:
        """Update one endpoint; whether MLflow answered."""
        try:
            state = self.read(name)
        except Exception as error:  # whatever it is, the looks at the endpoint say so
            log("not mirrored", endpoint=name, error=f"{type(error).__name__}: {error}")
            return True
        unknown = mirror(self.mlflow, Shelf(name, name), state, self.manifest, self.today())
        self._told[name] = state.revision, self.now() + (ANYWAY if unknown == () else AGAIN)
        return unknown is not None

    def _is_due(self, name: str) -> bool:
        try:
            revision = self.revision(name)
        except NotFound:
            return False
        told, again = self._told.get(name, (-1, self.now()))
        return told != revision or self.now() >= again
