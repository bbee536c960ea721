"""A cluster in memory behind real HTTP: an API server, a Prometheus and a gateway on one port of this machine.

The API server supports get, list by labels, server-side apply as a merge, and status updates with their conflict.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from modelstack.platforms.kubernetes.kinds import ResourceKind
from tests.listening import Quiet, listening

Object = dict[str, Any]
_TOKEN = "the endpoint's"
_SECRET: Object = {"data": {"token": base64.b64encode(_TOKEN.encode()).decode()}}
NAMESPACE = "models"
CONTEXT = "prod"
_PLACE = re.compile(
    r"(?P<root>/apis?/.+?)/namespaces/(?P<namespace>[^/]+)/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/status)?$"
)
_CONTROLLER = re.compile(r"/services/http:modelstack-controller:8081/proxy/(?P<path>.+)$")
_WIDE = re.compile(r"/api/v1/namespaces/(?P<name>[^/]+)$")


@dataclass
class Cluster:
    """The state of the servers, and their requests.

    Attributes:
        objects: API path -> object.
        forbidden: Plurals that nobody may read.
        results: Part of a Prometheus query -> series.
        blind: Whether Prometheus answers 503.
        records: The audit record; None: the controller has no database.
    """

    objects: dict[str, Object] = field(default_factory=dict[str, Object])
    kinds: set[str] = field(default_factory=set[str])
    forbidden: set[str] = field(default_factory=set[str])
    rules: list[Object] = field(default_factory=list[Object])
    results: dict[str, list[Object]] = field(default_factory=dict[str, list[Object]])
    blind: bool = False
    standings: dict[str, Object] = field(default_factory=dict[str, Object])
    records: list[str] | None = field(default_factory=list[str])
    predictions: list[Object] = field(default_factory=list[Object])
    labels: dict[str, str] = field(default_factory=dict[str, str])
    requests: list[tuple[dict[str, str], str]] = field(default_factory=list[tuple[dict[str, str], str]])
    answer: tuple[int, dict[str, str], str] = (200, {"x-modelstack-variant": "v-a"}, '{"predictions": [1]}')
    port: int = 0
    _version: int = 0

    def put(self, kind: ResourceKind, obj: Object) -> None:
        self.kinds.add(kind.plural)
        self._version += 1
        metadata = {"namespace": NAMESPACE, "uid": f"u{self._version}", "generation": 1, **obj["metadata"]}
        metadata = {"creationTimestamp": "2026-03-01T12:00:00Z", **metadata, "resourceVersion": str(self._version)}
        whole = {"apiVersion": kind.api_version, "kind": kind.kind, **obj, "metadata": metadata}
        self.objects[kind.path(NAMESPACE, metadata["name"])] = whole

    def kubeconfig(self, path: Path) -> Path:
        cluster, user = {"server": f"http://127.0.0.1:{self.port}"}, {"token": "secret"}
        context = {"cluster": "c", "user": "u", "namespace": NAMESPACE}
        named = {"clusters": [{"name": "c", "cluster": cluster}], "users": [{"name": "u", "user": user}]}
        whole = {**named, "contexts": [{"name": CONTEXT, "context": context}], "current-context": CONTEXT}
        path.write_text(yaml.safe_dump(whole))
        return path

    @contextmanager
    def serving(self) -> Iterator[Cluster]:
        handler = type("Handler", (_Handler,), {"cluster": self})
        with listening(handler) as url:
            self.port = int(url.rpartition(":")[2])
            yield self

    def asked(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if path.startswith("/apis/authentication.k8s.io/"):
            return 201, {"status": {"userInfo": {"username": "ada@example.org"}}}
        if found := _WIDE.fullmatch(path):
            name = found["name"]
            return (200, {"metadata": {"name": name}}) if name == NAMESPACE else _missing("namespaces", name)
        place = _PLACE.fullmatch(path)
        assert place is not None, path
        plural, name = place["plural"], place["name"]
        if plural in self.forbidden:
            words = f'{plural} is forbidden: User "ada" cannot get resource "{plural}" in the namespace "{NAMESPACE}"'
            return 403, _status(403, "Forbidden", words)
        if place["root"].startswith("/apis/modelstack.dev") and plural not in self.kinds:
            return 404, _status(404, "NotFound", "the server could not find the requested resource")
        if name is None:
            return 200, {"items": [*self._selected(path, query)]}
        known = _SECRET if name.endswith("-token") else self.objects.get(path.removesuffix("/status"))
        return self._of(method, known, body) if known else _missing(plural, name)

    def _of(self, method: str, known: Object, body: Any) -> tuple[int, Any]:
        if method in {"PUT", "PATCH"}:
            version = body["metadata"].get("resourceVersion")
            if version not in {None, known["metadata"]["resourceVersion"]}:
                return 409, _status(409, "Conflict", "the object has been modified")
            return 200, self._changed(known, body)
        return 200, known

    def _changed(self, known: Object, body: Object) -> Object:
        self._version += 1
        for part in ("spec", "status"):
            if part in body:
                known[part] = {**known.get(part, {}), **body[part]}
        annotations = body["metadata"].get("annotations")
        if annotations is not None:
            known["metadata"]["annotations"] = annotations
        known["metadata"]["resourceVersion"] = str(self._version)
        return known

    def _selected(self, path: str, query: dict[str, list[str]]) -> Iterator[Object]:
        wanted = query.get("labelSelector", [""])[0]
        equal = dict(part.split("=", 1) for part in re.findall(r"[^,()\s]+=[^,()\s]+", wanted))
        among = re.findall(r"(\S+) in \(([^)]*)\)", wanted)
        for place, item in self.objects.items():
            if place.rpartition("/")[0] != path:
                continue
            labels = item["metadata"].get("labels") or {}
            inside = all(labels.get(key) in [one.strip() for one in names.split(",")] for key, names in among)
            if inside and all(labels.get(key) == value for key, value in equal.items()):
                yield item

    def of_controller(self, path: str, query: dict[str, list[str]], body: str) -> tuple[int, str]:
        """The controller's answer; a page of its record has two lines."""
        what, _, name = path.partition("/")
        if self.records is None:
            return 404, "this controller has no database: set DATABASE_URL\n"
        if what == "labels":
            self.labels[name.rpartition("/")[2]] = body
            return 204, ""
        if what == "standings":
            return 200, json.dumps({name: self.standings[name] for name in query["variant"] if name in self.standings})
        if what == "predictions":
            return 200, json.dumps(self.predictions[int(float(query.get("before", ["0"])[0]))])
        first = int(query.get("after", ["0"])[0])
        page = self.records[first : first + 2]
        return 200, json.dumps({"lines": page, "next": str(first + 2) if first + 2 < len(self.records) else ""})

    def told(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        if self.blind:
            return 503, {"status": "error", "error": "starting up"}
        if path.endswith("/rules"):
            return 200, {"status": "success", "data": {"groups": self.rules}}
        asked = query["query"][0]
        found = next((series for part, series in self.results.items() if part in asked), [])
        matrix = path.endswith("_range") or asked.endswith("ms]")
        return 200, {"status": "success", "data": {"resultType": "matrix" if matrix else "vector", "result": found}}


def _status(code: int, reason: str, message: str) -> Object:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


def _missing(plural: str, name: str) -> tuple[int, Any]:
    return 404, {**_status(404, "NotFound", f'{plural} "{name}" not found'), "details": {"name": name}}


class _Handler(Quiet):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        headers: dict[str, str] = {}
        if path == "/invocations":
            self.cluster.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status, headers, text = self.cluster.answer
        elif place := _CONTROLLER.search(path):
            admitted = self.headers.get("x-modelstack-token") == _TOKEN
            answer = self.cluster.of_controller(place["path"], query, body) if admitted else (401, "no token")
            status, text = answer
        elif re.search(r"/api/v1/(query|query_range|rules)$", path):
            status, content = self.cluster.told(path, query)
            text = json.dumps(content)
        else:
            status, content = self.cluster.asked(self.command, path, query, json.loads(body) if body else None)
            text = json.dumps(content)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any
