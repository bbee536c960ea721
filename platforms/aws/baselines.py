"""How good each release was when it was evaluated, out of its own archive."""

from __future__ import annotations

import json
from dataclasses import dataclass

from monitoring.labels.baseline import Baseline
from platforms.aws.clients import Clients
from platforms.aws.files import sealed
from rollout.core.release import Release

FILE = "baseline.json"


@dataclass
class Baselines:
    """Reads each release's baseline once."""

    clients: Clients

    def __post_init__(self) -> None:
        self._known: dict[str, Baseline | None] = {}

    def of(self, release: Release) -> Baseline | None:
        """What later labels are held against; None when its model tells no answers.

        Raises:
            DigestMismatch: The archive is not the one that was registered.
            ValueError: Its `baseline.json` has another form.
        """
        if release.package_digest not in self._known:
            found = sealed(self.clients, release, FILE)
            self._known[release.package_digest] = Baseline.from_dict(json.loads(found)) if found else None
        return self._known[release.package_digest]
