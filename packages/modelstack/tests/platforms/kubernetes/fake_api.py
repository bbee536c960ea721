"""An API server in memory, for unit tests: versions, conflicts, and who owns which field, as the real one has them.

The same tests run against it and against a real one (`world.py`), which is how we know that it tells the truth.
"""

from __future__ import annotations

import copy
import queue
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from modelstack.platforms.kubernetes.answers import Exists, NotFound, Owned
from modelstack.platforms.kubernetes.api import Api, Labels, Object, Objects, ServerClock
from modelstack.platforms.kubernetes.kinds import DEPLOYMENT, ResourceKind
from modelstack.rollout.core.errors import Conflict, Unreachable

Path = tuple[str, ...]
_SERVER = ("name", "uid", "resourceVersion", "managedFields", "generation", "creationTimestamp", "namespace")
_NONE: Labels = {}


class FakeApi:
    """The calls of `modelstack.platforms.kubernetes.api.Api` that the ports and the controller's threads use."""

    def __init__(self, namespace: str = "models") -> None:
        self.namespace, self.in_cluster, self.server = namespace, False, "https://fake"
        self.clock, self.down = ServerClock(), False
        self.calls: list[tuple[str, str]] = []
        self.watchers: list[tuple[str, queue.Queue[tuple[str, Object] | None]]] = []
        self._lock = threading.RLock()
        self._objects: dict[tuple[str, str], Object] = {}
        self._owned: dict[tuple[str, str], dict[tuple[str, str], set[Path]]] = {}
        self._version = 0

    @property
    def as_api(self) -> Api:
        """The same, as what it stands for."""
        return cast(Api, self)

    def get(self, kind: ResourceKind, name: str, namespace: str | None = None) -> Object:
        """One object."""
        self._called("get", kind)
        if namespace not in {None, self.namespace} or (kind.plural, name) not in self._objects:
            raise NotFound(f'{kind.plural} "{name}" not found')
        return copy.deepcopy(self._objects[kind.plural, name])

    def find(self, kind: ResourceKind, name: str, namespace: str | None = None) -> Object | None:
        """The same; None when there is none."""
        try:
            return self.get(kind, name, namespace)
        except NotFound:
            return None

    def list(self, kind: ResourceKind, labels: Labels = _NONE) -> Objects:
        """All that have these labels."""
        self._called("list", kind)
        with self._lock:
            every = [item for (plural, _), item in self._objects.items() if plural == kind.plural]
            return [copy.deepcopy(item) for item in every if _has(item, labels)]

    def watch(self, kind: ResourceKind, seconds: int = 1) -> Iterator[tuple[str, Object]]:
        """All that is there, and what happens to it for so many seconds."""
        told: queue.Queue[tuple[str, Object] | None] = queue.Queue()
        with self._lock:
            for item in self.list(kind):
                told.put(("ADDED", item))
            self.watchers.append((kind.plural, told))
        with suppress(queue.Empty):
            while (event := told.get(timeout=seconds)) is not None:
                yield event

    def end_watches(self) -> None:
        """Cut off whoever watches."""
        for _, told in self.watchers:
            told.put(None)
        self.watchers.clear()

    def create(self, kind: ResourceKind, obj: Mapping[str, Any], *, manager: str | None = None) -> Object:
        """Make an object."""
        self._called("create", kind)
        name = obj["metadata"]["name"]
        if (kind.plural, name) in self._objects:
            raise Exists(f'{kind.plural} "{name}" already exists')
        made = self._new(kind, name)
        for path, value in _leaves(obj):
            _put(made, path, value)
        return self._kept(kind, name, made, {(manager or "tests", "Update"): {path for path, _ in _leaves(obj)}})

    def apply(self, kind: ResourceKind, obj: Mapping[str, Any], manager: str, *, force: bool = False) -> Object:
        """Server-side apply; lists are atomic."""
        self._called("patch", kind)
        name, asked = obj["metadata"]["name"], obj["metadata"]
        key = (kind.plural, name)
        before = self._objects.get(key)
        if before is None and "uid" in asked:
            raise Conflict(f'"{name}": uid mismatch: no existing object was found')
        found = copy.deepcopy(before) if before else self._new(kind, name)
        for field in ("uid", "resourceVersion"):
            if before and field in asked and asked[field] != found["metadata"][field]:
                raise Conflict(f'"{name}": the object has been modified')
        owners = copy.deepcopy(self._owned.get(key, {}))
        mine, new = owners.get((manager, "Apply"), set()), dict(_leaves(obj))
        for path, value in new.items():
            others = [who for who, paths in owners.items() if path in paths and who != (manager, "Apply")]
            if others and _at(found, path) != value:
                if not force:
                    raise Owned(f"Apply failed with 1 conflict: conflict with {others[0][0]!r}: .{'.'.join(path)}")
                for who in others:
                    owners[who].discard(path)
            _put(found, path, value)
        for path in mine - new.keys():
            if not any(path in paths for who, paths in owners.items() if who != (manager, "Apply")):
                _drop(found, path)
        owners[manager, "Apply"] = set(new)
        return self._kept(kind, name, found, owners)

    def replace_status(self, kind: ResourceKind, obj: Mapping[str, Any]) -> Object:
        """Put the status."""
        self._called("update", kind)
        name = obj["metadata"]["name"]
        found = self._objects.get((kind.plural, name))
        if found is None:
            raise NotFound(f'{kind.plural} "{name}" not found')
        wanted = obj["metadata"].get("resourceVersion", found["metadata"]["resourceVersion"])
        if wanted != found["metadata"]["resourceVersion"]:
            raise Conflict(f'"{name}": the object has been modified')
        after = {**copy.deepcopy(found), "status": copy.deepcopy(obj["status"])}
        return self._kept(kind, name, after, self._owned[kind.plural, name])

    def scale(self, obj: Object, pods: int, manager: str) -> None:
        """How many pods a Deployment is to have, if it is still the one that was read."""
        name = obj["metadata"]["name"]
        self._called("patch", DEPLOYMENT)
        if self.get(DEPLOYMENT, name)["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
            raise Conflict(f'"{name}": the object has been modified')
        self.patched(DEPLOYMENT, name, {"spec": {"replicas": pods}}, manager)

    def delete(self, kind: ResourceKind, name: str) -> None:
        """Delete an object."""
        gone = self._objects.pop((kind.plural, name), None)
        self._owned.pop((kind.plural, name), None)
        if gone is not None:
            self._tell(kind, "DELETED", gone)

    def put(self, kind: ResourceKind, name: str, **parts: Any) -> None:
        """Make or change an object, as another client does."""
        with self._lock:
            made = copy.deepcopy(self._objects.get((kind.plural, name))) or self._new(kind, name)
            after = {**made, **parts, "metadata": {**made["metadata"], **parts.get("metadata", {})}}
            self._kept(kind, name, after, {("tests", "Update"): {path for path, _ in _leaves(after)}})

    def patched(self, kind: ResourceKind, name: str, obj: Mapping[str, Any], manager: str) -> None:
        """What `kubectl edit` or `patch` does: these fields so, whosever they are."""
        found, owners = copy.deepcopy(self._objects[kind.plural, name]), copy.deepcopy(self._owned[kind.plural, name])
        for path, value in _leaves(obj):
            if _at(found, path) != value:
                for paths in owners.values():
                    paths.discard(path)
            (_drop if value is None else _put)(found, path, *(() if value is None else (value,)))
            owners.setdefault((manager, "Update"), set()).add(path)
        self._kept(kind, name, found, owners)

    def _called(self, verb: str, kind: ResourceKind) -> None:
        self.calls.append((verb, kind.plural))
        if self.down:
            raise Unreachable("the API server does not answer")

    def _tell(self, kind: ResourceKind, event: str, item: Object) -> None:
        for plural, told in self.watchers:
            if plural == kind.plural:
                told.put((event, copy.deepcopy(item)))

    def _new(self, kind: ResourceKind, name: str) -> Object:
        made = {"uid": str(uuid.uuid4()), "generation": 0, "creationTimestamp": _now()}
        metadata = {"name": name, "namespace": self.namespace, **made}
        return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}

    def _kept(self, kind: ResourceKind, name: str, obj: Object, owners: dict[tuple[str, str], set[Path]]) -> Object:
        key = (kind.plural, name)
        before = self._objects.get(key)
        owners = {who: paths for who, paths in owners.items() if paths}
        metadata = obj["metadata"]
        if before is None or before.get("spec") != obj.get("spec"):
            metadata["generation"] += 1
        metadata["managedFields"] = [
            {"manager": who, "operation": how, "time": _now(), "fieldsV1": _fields(paths)}
            for (who, how), paths in owners.items()
        ]
        if before != obj:
            self._version += 1
            metadata["resourceVersion"] = str(self._version)
        self._objects[key], self._owned[key] = obj, owners
        if before != obj:
            self._tell(kind, "MODIFIED" if before else "ADDED", obj)
        return copy.deepcopy(obj)


def _leaves(obj: Mapping[str, Any], above: Path = ()) -> list[tuple[Path, Any]]:
    found: list[tuple[Path, Any]] = []
    for name, value in obj.items():
        path = (*above, name)
        if path in {("apiVersion",), ("kind",)} or (above == ("metadata",) and name in _SERVER):
            continue
        found += _leaves(value, path) if isinstance(value, dict) and value else [(path, copy.deepcopy(value))]
    return found


def _at(obj: Mapping[str, Any], path: Path) -> Any:
    for name in path:
        obj = (obj or {}).get(name)  # type: ignore[assignment]
    return obj


def _put(obj: Object, path: Path, value: Any) -> None:
    for name in path[:-1]:
        obj = obj.setdefault(name, {})
    obj[path[-1]] = copy.deepcopy(value)


def _drop(obj: Object, path: Path) -> None:
    for name in path[:-1]:
        obj = obj.get(name) or {}
    obj.pop(path[-1], None)


def _fields(paths: set[Path]) -> Object:
    whole: Object = {}
    for path in paths:
        _put(whole, tuple(f"f:{name}" for name in path), {})
    return whole


def _has(item: Mapping[str, Any], labels: Labels) -> bool:
    own = item["metadata"].get("labels") or {}
    return all(own.get(key) in ({value} if isinstance(value, str) else {*value}) for key, value in labels.items())


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
