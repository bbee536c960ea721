"""The API server, as JSON objects in and out, for one namespace.

    api = Api.of("prod", "models")
    api.get(ROUTE, "flight-delay-prod")["spec"]["rules"]
    api.apply(ROUTE, {"metadata": {"name": "flight-delay-prod"}, "spec": {"rules": [...]}}, MANAGER)

Over httpx alone, which is here already, as a rollout needs eight calls. Measured on top of it, client libraries load in
0.22 s and 20 MB more (kr8s 0.20.15), in 0.25 s and 19 MB more (kubernetes 37.0.2), or bring a second HTTP client and do
not know `client.authentication.k8s.io/v1` nor more than one kubeconfig (lightkube 1.0.1).

Errors: `Busy` (throttled, or made by another a moment ago), `Conflict` (the object moved on since it was read),
`Unreachable` (no connection, no answer in time, the server's own failure), and `RolloutError` with the server's own
words for what does not pass by itself: `NotFound`, `Owned` (a field of another manager), no right, a value refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from platforms.kubernetes.access import Access, found
from platforms.kubernetes.answers import NotFound, refused
from platforms.kubernetes.api_requests import Labels, Object, event, selector, service_path, whole
from platforms.kubernetes.clock import ServerClock
from platforms.kubernetes.kinds import DEPLOYMENT, WHO, ResourceKind
from rollout.core.errors import Unreachable

Objects = list[Object]
Counted = Callable[[str, str, int], None]
TIMEOUT = httpx.Timeout(10.0, connect=3.0)
WATCH_SECONDS = 300
_PAGE = 500
_NONE: Mapping[str, Any] = {}
_GET_TRIES = 2
_LATE = 10.0  # seconds after its time in which a watch ends
_METHODS = {"get": "GET", "list": "GET", "create": "POST", "patch": "PATCH", "update": "PUT", "delete": "DELETE"}


def uncounted(verb: str, plural: str, status: int) -> None:
    """Count nothing."""


class Api:
    """The API server, for one namespace. May be used by several threads at once.

    Args:
        access: How the server is reached, and as whom.
        namespace: Where the objects are.
        timeout: How long it is waited for.
        counted: Told of every request: verb (as in a Role), plural of the kind, HTTP status (0: no answer).

    Attributes:
        clock: The server's time, as its answers tell it.
    """

    def __init__(
        self,
        access: Access,
        namespace: str,
        *,
        timeout: httpx.Timeout = TIMEOUT,
        counted: Counted = uncounted,
    ) -> None:
        self.namespace, self.clock = namespace, ServerClock()
        self._access, self._timeout, self._counted = access, timeout, counted
        self._client = self._new(access.server)

    @classmethod
    def of(cls, context: str | None = None, namespace: str | None = None, *, counted: Counted = uncounted) -> Api:
        """The API server of a kubeconfig's context, or of the pod this runs in.

        Args:
            context: The context; None is the pod's own service account, or the kubeconfig's current one.
            namespace: Where the objects are; None is the context's, or the pod's.
            counted: Told of every request.

        Raises:
            RolloutError: There is no such context, or what it says cannot be done.
        """
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
        """One object, read consistently, of another namespace when one is named.

        Raises:
            NotFound: There is none.
        """
        return self._call("get", kind, name, namespace=namespace).json()

    def find(self, kind: ResourceKind, name: str, namespace: str | None = None) -> Object | None:
        """The same; None when there is none, or no such kind."""
        try:
            return self.get(kind, name, namespace)
        except NotFound:
            return None

    def serves(self, api_version: str) -> bool:
        """Whether the server knows a version of a group, such as `metrics.k8s.io/v1beta1`; anybody may ask for it."""
        try:
            self._call("get", ResourceKind(api_version, "APIResourceList", "", namespaced=False))
        except NotFound:
            return False
        return True

    def list(self, kind: ResourceKind, labels: Labels = _NONE) -> Objects:
        """All objects of a kind that have these labels, read consistently."""
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

    def watch(
        self, kind: ResourceKind, labels: Labels = _NONE, seconds: int = WATCH_SECONDS
    ) -> Iterator[tuple[str, Object]]:
        """Objects as they change: first every one that is there, as ADDED, then what happens to them.

        It ends after so many seconds; the caller begins again. What was deleted in between is told by its not being
        among those that are there. What is there may be a moment old: it is the server's cache that tells it, as one
        whose etcd is of another version may know only after minutes that it is up to date (1.34 over etcd 3.4).

        Raises:
            Conflict: The server forgot where it was: begin again.
        """
        doing = f"watch {self._said(kind, '')}"
        asked: dict[str, str | int] = {
            "watch": "true",
            "resourceVersion": "0",
            "timeoutSeconds": seconds,
            **selector(labels),
        }
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
        """Make an object.

        Raises:
            Exists: There is one of that name.
        """
        query = {"fieldManager": manager} if manager else {}
        return self._call("create", kind, query=query, content=whole(kind, obj)).json()

    def apply(self, kind: ResourceKind, obj: Mapping[str, Any], manager: str, *, force: bool = False) -> Object:
        """Server-side apply: make these fields so, and own them; those that `manager` applied before and leaves out go.

        It makes an object that is not there, in spite of a metadata.resourceVersion; not with a metadata.uid.

        Args:
            kind: The object's kind.
            obj: Its name, and the fields. With metadata.resourceVersion it lands only on that version.
            manager: Whose fields they are.
            force: Take over the fields that belong to others.

        Raises:
            Conflict: The object moved on from the resourceVersion, or is gone.
            Owned: A field belongs to another, and `force` is not given.
        """
        name, query = obj["metadata"]["name"], {"fieldManager": manager, "force": "true" if force else "false"}
        return self._call("patch", kind, name, query=query, content=whole(kind, obj), form="apply-patch+yaml").json()

    def replace_status(self, kind: ResourceKind, obj: Mapping[str, Any]) -> Object:
        """Put an object's status; the rest of it stays as it is.

        Raises:
            Conflict: The object moved on from its metadata.resourceVersion.
        """
        return self._call("update", kind, obj["metadata"]["name"], "status", content=whole(kind, obj)).json()

    def scale(self, obj: Object, pods: int, manager: str) -> None:
        """Let a Deployment have so many pods; nothing else of it changes.

        Args:
            obj: The Deployment as it was read.
            pods: How many.
            manager: Who says so.

        Raises:
            Conflict: It moved on meanwhile.
        """
        name, version = obj["metadata"]["name"], obj["metadata"]["resourceVersion"]
        content = {"metadata": {"resourceVersion": version}, "spec": {"replicas": pods}}
        query = {"fieldManager": manager}
        self._call("patch", DEPLOYMENT, name, "scale", query=query, content=content, form="merge-patch+json")

    def delete(self, kind: ResourceKind, name: str) -> None:
        """Delete an object and what it owns. One that is not there is deleted."""
        with suppress(NotFound):
            self._call("delete", kind, name, content={"propagationPolicy": "Background"})

    def user(self) -> str:
        """Who the API server takes us for, such as `system:serviceaccount:models:modelstack-controller`."""
        answer = self._call("create", WHO, content=whole(WHO, {})).json()
        return str(answer["status"]["userInfo"].get("username", ""))

    def reach(self, url: str) -> httpx.Client:
        """A new client, which the caller closes, for a URL seen from inside the cluster.

        In the cluster it goes there. From outside, a service (`http://SERVICE.NAMESPACE[.svc…]:PORT`) is reached
        through the API server, which sends a Host header of its own; any other host directly.
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
        """One call on objects of a kind, or on one or a part of it such as `status`.

        A call that only reads, and is not answered, is made once more.
        """
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
