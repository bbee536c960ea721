"""Client of the API server for one namespace, with JSON objects in and out.

It uses httpx alone: client libraries add 0.22 s and 20 MB (kr8s 0.20.15), 0.25 s and 19 MB (kubernetes 37.0.2), or do
not support `client.authentication.k8s.io/v1` and several kubeconfigs (lightkube 1.0.1).

Every call raises `Busy` (throttled), `Conflict` (the object has changed), `Unreachable` (no response, or a server
error), or another `RolloutError` with the server's message: `NotFound`, `Forbidden`, `Owned`, invalid values.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from modelstack.platforms.kubernetes.access import Access, found
from modelstack.platforms.kubernetes.answers import NotFound, refused
from modelstack.platforms.kubernetes.api_requests import Labels, Object, event, selector, service_path, whole
from modelstack.platforms.kubernetes.kinds import DEPLOYMENT, WHO, ResourceKind
from modelstack.rollout.core.errors import Unreachable

Objects = list[Object]
Counted = Callable[[str, str, int], None]
TIMEOUT = httpx.Timeout(10.0, connect=3.0)
WATCH_SECONDS = 300
_PAGE = 500
_NONE: Mapping[str, Any] = {}
_GET_TRIES = 2
_LATE = 10.0  # seconds after its time in which a watch ends
TOLERATED = 5.0  # seconds of difference that are ignored: a Date has whole seconds, and responses take time
_SLOW = 2.0  # seconds of a call after which its date says too little
_JITTER = 2.0  # seconds by which two dates of the same clock may seem to differ
_METHODS = {"get": "GET", "list": "GET", "create": "POST", "patch": "PATCH", "update": "PUT", "delete": "DELETE"}


class Api:
    """Client of the API server for one namespace. Thread-safe.

    `counted` gets the verb, plural and HTTP status of each request, 0 without a response. `clock` is the server's time.
    """

    def __init__(
        self, access: Access, namespace: str, *, timeout: httpx.Timeout = TIMEOUT, counted: Counted = lambda *_: None
    ) -> None:
        self.namespace, self.clock = namespace, ServerClock()
        self._access, self._timeout, self._counted = access, timeout, counted
        self._client = self._new(access.server)

    @classmethod
    def of(cls, context: str | None = None, namespace: str | None = None, *, counted: Counted = lambda *_: None) -> Api:
        """Client by a context of the kubeconfig; without one by this pod's service account or the current context."""
        access = found(context)
        return cls(access, namespace or access.namespace, counted=counted)

    @property
    def in_cluster(self) -> bool:
        """Whether this runs in a pod of the cluster."""
        return self._access.in_cluster

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._access.server

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, kind: ResourceKind, name: str, namespace: str | None = None) -> Object:
        """Read an object, by default of this namespace, with strong consistency; raises NotFound."""
        return self._call("get", kind, name, namespace=namespace).json()

    def find(self, kind: ResourceKind, name: str, namespace: str | None = None) -> Object | None:
        """Like `get`, but None if the object or its kind does not exist."""
        try:
            return self.get(kind, name, namespace)
        except NotFound:
            return None

    def serves(self, api_version: str) -> bool:
        """Whether the server knows an API version, such as `metrics.k8s.io/v1beta1`. This needs no permission."""
        try:
            self._call("get", ResourceKind(api_version, "APIResourceList", "", namespaced=False))
        except NotFound:
            return False
        return True

    def list(self, kind: ResourceKind, labels: Labels = _NONE) -> Objects:
        """All objects of a kind that have these labels, with strong consistency."""
        so_far: Objects = []
        query: dict[str, str | int] = {"limit": _PAGE, **selector(labels)}
        while True:
            page = self._call("list", kind, query=query).json()
            # The items of a list do not say what they are.
            so_far += [whole(kind, item) for item in page["items"]]
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return so_far
            query["continue"] = more

    def watch(self, kind: ResourceKind, seconds: int = WATCH_SECONDS) -> Iterator[tuple[str, Object]]:
        """Yield every existing object as ADDED, then each event; ends after `seconds`, and the caller starts again.

        The caller finds deletions between two watches by comparing the lists. The first list comes from the server's
        cache and may be stale: the cache can take minutes to learn that it is fresh (1.34 over etcd 3.4). Raises
        Conflict if the resource version expired.
        """
        doing = f"watch {self._said(kind, '')}"
        asked: dict[str, str | int] = {"watch": "true", "resourceVersion": "0", "timeoutSeconds": seconds}
        patient = httpx.Timeout(self._timeout.read, connect=self._timeout.connect, read=seconds + _LATE)
        path = kind.path(self.namespace)
        with (
            self._calling("watch", kind, doing),
            self._client.stream("GET", path, params=asked, timeout=patient) as answer,
        ):
            self._counted("watch", kind.plural, answer.status_code)
            if not answer.is_success:
                answer.read()
                raise refused(answer, doing, self._access.says)
            for line in answer.iter_lines():
                if line:
                    yield event(json.loads(line), doing)

    def create(self, kind: ResourceKind, obj: Mapping[str, Any], *, manager: str | None = None) -> Object:
        """Create an object; raises Exists if the name is taken."""
        query = {"fieldManager": manager} if manager else {}
        return self._call("create", kind, query=query, content=whole(kind, obj)).json()

    def apply(self, kind: ResourceKind, obj: Mapping[str, Any], manager: str, *, force: bool = False) -> Object:
        """Server-side apply. Fields that `manager` applied before and leaves out now are removed.

        Creates a missing object even with a metadata.resourceVersion, but not with a metadata.uid. Raises Conflict if
        the object is not at that version, and Owned if a field belongs to another manager, without `force`.
        """
        name, query = obj["metadata"]["name"], {"fieldManager": manager, "force": "true" if force else "false"}
        return self._call("patch", kind, name, query=query, content=whole(kind, obj), form="apply-patch+yaml").json()

    def replace_status(self, kind: ResourceKind, obj: Mapping[str, Any]) -> Object:
        """Replace the status of an object; raises Conflict if it is not at its metadata.resourceVersion any more."""
        return self._call("update", kind, obj["metadata"]["name"], "status", content=whole(kind, obj)).json()

    def scale(self, obj: Object, pods: int, manager: str) -> None:
        """Set the number of pods of a Deployment; raises Conflict if it has changed since it was read."""
        name, version = obj["metadata"]["name"], obj["metadata"]["resourceVersion"]
        content = {"metadata": {"resourceVersion": version}, "spec": {"replicas": pods}}
        query = {"fieldManager": manager}
        self._call("patch", DEPLOYMENT, name, "scale", query=query, content=content, form="merge-patch+json")

    def delete(self, kind: ResourceKind, name: str) -> None:
        """Delete an object and its dependents, unless it is gone already."""
        with suppress(NotFound):
            self._call("delete", kind, name, content={"propagationPolicy": "Background"})

    def user(self) -> str:
        """The name of the authenticated user, such as `system:serviceaccount:models:modelstack-controller`."""
        answer = self._call("create", WHO, content=whole(WHO, {})).json()
        return str(answer["status"]["userInfo"].get("username", ""))

    def reach(self, url: str) -> httpx.Client:
        """A new client for a URL as seen inside the cluster; the caller closes it.

        From outside, a Service (`http://SERVICE.NAMESPACE[.svc…]:PORT`) is reached through the API server, which sets
        its own Host header; other hosts directly.
        """
        there = None if self.in_cluster else service_path(url)
        if there is None:
            return httpx.Client(base_url=url, timeout=self._timeout)
        return self._new(f"{self._access.server}{there}")

    def _new(self, base: str) -> httpx.Client:
        access = self._access
        return httpx.Client(
            base_url=base, verify=access.verify, auth=access.auth, timeout=self._timeout, proxy=access.proxy
        )

    def _said(self, kind: ResourceKind, name: str, namespace: str | None = None) -> str:
        where = f" in namespace {namespace or self.namespace}" if kind.namespaced else ""
        return f"{kind.kind}{f' {name}' if name else ''}{where}"

    def _call(
        self,
        verb: str,
        kind: ResourceKind,
        name: str = "",
        part: str = "",
        *,
        namespace: str | None = None,
        query: Mapping[str, str | int] = _NONE,
        content: Mapping[str, Any] | None = None,
        form: str = "json",
    ) -> httpx.Response:
        """Send a request; one that only reads is retried once if the server does not respond."""
        called = name or str(((content or {}).get("metadata") or {}).get("name") or "")
        doing = f"{verb} {f'the {part} of ' if part else ''}{self._said(kind, called, namespace)}"
        tries = _GET_TRIES if verb in {"get", "list"} else 1
        for left in reversed(range(tries)):
            try:
                began = time.monotonic()
                with self._calling(verb, kind, doing):
                    answer = self._client.request(
                        _METHODS[verb],
                        kind.path(namespace or self.namespace, name, part),
                        params=dict(query),
                        content=None if content is None else json.dumps(content).encode(),
                        headers={} if content is None else {"Content-Type": f"application/{form}"},
                    )
                self.clock.learn(answer.headers.get("Date"), time.monotonic() - began)
                self._counted(verb, kind.plural, answer.status_code)
                if answer.is_success:
                    return answer
                raise refused(answer, doing, self._access.says)
            except Unreachable:
                if not left:
                    raise
        raise AssertionError("a call is made at least once")

    @contextmanager
    def _calling(self, verb: str, kind: ResourceKind, doing: str) -> Generator[None]:
        try:
            yield
        except httpx.TransportError as error:
            self._counted(verb, kind.plural, 0)
            what = str(error) or type(error).__name__
            server = f"{self._access.server} ({self._access.says})"
            raise Unreachable(f"{doing}: the API server {server} does not answer: {what}") from error


@dataclass
class ServerClock:
    """`Clock` of an API server, `ahead` of this machine's by so many seconds, 0 within the tolerance. Thread-safe.

    So controllers on machines with different clocks agree on when a trial began and when it times out.
    Source: RFC 9110, section 6.6.1 (Date).
    """

    ahead: float = 0.0
    now: Callable[[], float] = time.time

    def learn(self, date: str | None, took: float) -> None:
        """Update from the Date of a response, None if it has none, that took so many seconds."""
        try:
            told = parsedate_to_datetime(date).timestamp() if date and took <= _SLOW else None
        except ValueError:
            return
        if told is None:
            return
        ahead = told - self.now()
        if abs(ahead) <= TOLERATED:
            self.ahead = 0.0
        elif abs(ahead - self.ahead) > _JITTER:
            self.ahead = ahead

    def time(self) -> float:
        """Epoch seconds."""
        return self.now() + self.ahead

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
