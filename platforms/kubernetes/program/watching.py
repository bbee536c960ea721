"""Watches the objects of one kind in the namespace, for as long as the process lives.

A watch that ends is begun again, and one that fails after a pause. Each begins with a list, so that what was made or
deleted in between is noticed too.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitoring.log import log
from platforms.kubernetes.api import Api
from platforms.kubernetes.kinds import ResourceKind
from rollout.core.errors import RolloutError

SECONDS = 300
"""How long a watch lasts."""
_FIRST, _LONGEST = 1.0, 30.0  # seconds of a pause


@dataclass
class Watching:
    """Tells what happens to the objects of a kind.

    Attributes:
        api: The API server.
        kind: The kind.
        labels: Only objects with these labels.
        version: What of an object tells that it has changed in a way that matters here.
        changed: Told an object that is new, or has changed so.
        gone: Told the name of one that is there no more.
        stopping: Set when all is to end.
    """

    api: Api
    kind: ResourceKind
    labels: Mapping[str, str]
    version: Callable[[dict[str, Any]], object]
    changed: Callable[[dict[str, Any]], None]
    gone: Callable[[str], None]
    stopping: threading.Event = field(default_factory=threading.Event)
    _known: dict[str, object] = field(default_factory=dict[str, object], init=False)
    _listed: bool = field(default=False, init=False)

    @property
    def listed(self) -> bool:
        """Whether all of them were listed at least once."""
        return self._listed

    @property
    def names(self) -> frozenset[str]:
        """The names of those that are there."""
        return frozenset(self._known)

    def knows(self, name: str) -> bool:
        """Whether there is one of this name."""
        return name in self._known

    def run(self) -> None:
        """Watch until all is to end."""
        pause = _FIRST
        while not self.stopping.is_set():
            try:
                self.once()
                pause = _FIRST
            except Exception as error:  # whatever the server says, or the network does: it is begun again
                log("watch failed", kind=self.kind.kind, error=_text(error), seconds=pause)
                self.stopping.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311  no secret
                pause = min(_LONGEST, pause * 2)

    def once(self) -> None:
        """List all, then watch until the server ends it.

        Raises:
            RolloutError: The server does not answer.
        """
        found = self.api.list(self.kind, self.labels)
        names = {item["metadata"]["name"] for item in found}
        for item in found:
            self._see(item)
        for name in self._known.keys() - names:
            self._forget(name)
        self._listed = True
        del found  # a list of many journals is large
        for event, item in self.api.watch(self.kind, self.labels, seconds=SECONDS):
            if self.stopping.is_set():
                return
            if event in {"ADDED", "MODIFIED"}:
                self._see(item)
            elif event == "DELETED":
                self._forget(item["metadata"]["name"])
            elif event == "ERROR":
                raise RolloutError(f"the watch was ended: {item.get('message', item)}")

    def _see(self, item: dict[str, Any]) -> None:
        name, version = item["metadata"]["name"], self.version(item)
        if self._known.get(name, self) != version:
            self._known[name] = version
            self.changed(item)

    def _forget(self, name: str) -> None:
        if self._known.pop(name, self) is not self:
            self.gone(name)


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, RolloutError) else f"{type(error).__name__}: {error}"
