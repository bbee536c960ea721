"""Cache of the Rollouts, updated by the watch."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.journal import state_of
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import StateError
from modelstack.services.measuring import Measuring


@dataclass
class Known:
    """The endpoints of the namespace. Thread-safe."""

    _said: dict[str, tuple[RolloutSpec | RolloutError, Release | None, int]] = field(
        default_factory=dict[str, tuple[RolloutSpec | RolloutError, Release | None, int]]
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, rollout: dict[str, Any]) -> None:
        """Store a new or changed Rollout."""
        name = rollout["metadata"]["name"]
        spec: RolloutSpec | RolloutError
        try:
            spec = RolloutSpec.from_dict(rollout.get("spec") or {})
        except RolloutError as error:
            spec = error
        try:
            champion = state_of(rollout, name).champion
        except StateError:
            champion = None  # the looks at it say so
        with self._lock:
            self._said[name] = spec, champion, (rollout.get("status") or {}).get("revision", 0)

    def forget(self, name: str) -> None:
        """Remove a deleted Rollout."""
        with self._lock:
            self._said.pop(name, None)

    def has(self, name: str) -> bool:
        """Whether a Rollout exists."""
        with self._lock:
            return name in self._said

    def spec(self, name: str) -> RolloutSpec:
        """The spec of a Rollout; raises NotFound, or RolloutError if a field is missing or wrong."""
        spec = self._of(name)[0]
        if isinstance(spec, RolloutError):
            raise spec
        return spec

    def measuring(self, name: str) -> Measuring:
        """The monitoring settings of an endpoint; raises as `spec`."""
        return self.spec(name).measuring

    def champion(self, name: str) -> Release | None:
        """The champion by the cached journal; None before the first release. Raises NotFound."""
        return self._of(name)[1]

    def revision(self, name: str) -> int:
        """The revision of the cached journal; 0 before the first release. Raises NotFound."""
        return self._of(name)[2]

    def _of(self, name: str) -> tuple[RolloutSpec | RolloutError, Release | None, int]:
        with self._lock:
            if name not in self._said:
                raise NotFound(f"there is no Rollout {name}")
            return self._said[name]
