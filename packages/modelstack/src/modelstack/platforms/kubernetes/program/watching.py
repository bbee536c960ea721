"""Watches the objects of one kind in the namespace.

Each watch begins with a list, which also shows deletions since the last one. A failed watch is retried after a pause.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from modelstack.monitoring.log import log
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import ResourceKind
from modelstack.rollout.core.errors import RolloutError

SECONDS = 300  # the length of a watch
_FIRST, _LONGEST = 1.0, 30.0  # seconds of a pause


@dataclass
class Watching:
    """An informer of one kind.

    `version` is the part of an object whose change is reported; `changed` gets the object, `gone` a deleted one's name.
    """

    api: Api
    kind: ResourceKind
    version: Callable[[dict[str, Any]], object]
    changed: Callable[[dict[str, Any]], None]
    gone: Callable[[str], None]
    stopping: threading.Event = field(default_factory=threading.Event)
    _known: dict[str, object] = field(default_factory=dict[str, object], init=False)
    listed: bool = field(default=False, init=False)  # all objects, at least once

    @property
    def names(self) -> frozenset[str]:
        """The names of the existing objects."""
        return frozenset(self._known)

    def run(self) -> None:
        """Watch until `stopping` is set."""
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
        """List all objects, then watch until the server ends it."""
        found = self.api.list(self.kind)
        names = {item["metadata"]["name"] for item in found}
        for item in found:
            self._see(item)
        for name in self._known.keys() - names:
            self._forget(name)
        self.listed = True
        del found  # a list of many journals is large
        for event, item in self.api.watch(self.kind, seconds=SECONDS):
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
