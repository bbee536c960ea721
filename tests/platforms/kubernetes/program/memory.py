"""An API server in memory, as far as the controller's threads use one."""

from __future__ import annotations

import copy
import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Any, cast

from platforms.kubernetes.answers import Exists, NotFound
from platforms.kubernetes.api import Api
from platforms.kubernetes.clock import ServerClock
from platforms.kubernetes.kinds import Kind
from rollout.core.errors import Conflict, Unreachable

Object = dict[str, Any]


class MemoryApi:
    """Objects by kind and name; each write gives one a new version, and whoever watches is told."""

    def __init__(self, namespace: str = "models") -> None:
        self.namespace, self.clock = namespace, ServerClock()
        self.objects: dict[tuple[str, str], Object] = {}
        self.calls: list[tuple[str, str]] = []
        self.down = False
        self._version = 0
        self._watchers: list[tuple[str, queue.Queue[tuple[str, Object] | None]]] = []
        self._lock = threading.RLock()

    @property
    def as_api(self) -> Api:
        """The same, as what it stands for."""
        return cast(Api, self)

    def get(self, kind: Kind, name: str) -> Object:
        with self._called("get", kind):
            if (kind.kind, name) not in self.objects:
                raise NotFound(f"no {kind.kind} {name}")
            return copy.deepcopy(self.objects[kind.kind, name])

    def list(self, kind: Kind, labels: Mapping[str, str] | None = None) -> list[Object]:
        with self._called("list", kind):
            return [copy.deepcopy(one) for (of, _), one in self.objects.items() if of == kind.kind]

    def watch(
        self, kind: Kind, labels: Mapping[str, str] | None = None, seconds: int = 300
    ) -> Iterator[tuple[str, Object]]:
        told: queue.Queue[tuple[str, Object] | None] = queue.Queue()
        with self._called("watch", kind):
            for one in self.list(kind):
                told.put(("ADDED", one))
            self._watchers.append((kind.kind, told))
        while (event := told.get(timeout=30)) is not None:
            yield event

    def end_watches(self) -> None:
        for _, told in self._watchers:
            told.put(None)
        self._watchers.clear()

    def create(self, kind: Kind, obj: Mapping[str, Any], *, manager: str | None = None) -> Object:
        with self._called("create", kind):
            if (kind.kind, obj["metadata"]["name"]) in self.objects:
                raise Exists(f"{kind.kind} {obj['metadata']['name']} is there")
            return self._put(kind, obj)

    def apply(self, kind: Kind, obj: Mapping[str, Any], manager: str, *, force: bool = False) -> Object:
        with self._called("apply", kind):
            wanted = obj["metadata"].get("resourceVersion")
            there = self.objects.get((kind.kind, obj["metadata"]["name"]))
            if wanted is not None and (there is None or there["metadata"]["resourceVersion"] != wanted):
                raise Conflict(f"{kind.kind} moved on")
            return self._put(kind, obj)

    def delete(self, kind: Kind, name: str) -> None:
        with self._called("delete", kind):
            gone = self.objects.pop((kind.kind, name))
            self._tell(kind, "DELETED", gone)

    def put(self, kind: Kind, name: str, **parts: Any) -> Object:
        """Make or change an object, as another client does."""
        return self._put(kind, {"metadata": {"name": name, **parts.pop("metadata", {})}, **parts})

    def _put(self, kind: Kind, obj: Mapping[str, Any]) -> Object:
        with self._lock:
            self._version += 1
            one = copy.deepcopy(dict(obj))
            one["metadata"] |= {"resourceVersion": str(self._version), "uid": f"uid-{one['metadata']['name']}"}
            there = self.objects.get((kind.kind, one["metadata"]["name"]))
            self.objects[kind.kind, one["metadata"]["name"]] = one
            self._tell(kind, "MODIFIED" if there else "ADDED", one)
            return copy.deepcopy(one)

    def _tell(self, kind: Kind, event: str, one: Object) -> None:
        for of, told in self._watchers:
            if of == kind.kind:
                told.put((event, copy.deepcopy(one)))

    def _called(self, verb: str, kind: Kind) -> threading.RLock:
        self.calls.append((verb, kind.kind))
        if self.down:
            raise Unreachable("the API server does not answer")
        return self._lock
