"""`Notify` in a cluster: each event becomes an Event of the Rollout (`kubectl describe`), and is posted to a webhook.

An Event's name is a digest of its content, so a repeated event is one Event. A webhook gets it twice, with the same
`Idempotency-Key`. A webhook's URL is a secret: messages contain only its host.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.api_requests import event_object
from modelstack.platforms.kubernetes.kinds import EVENT, ROLLOUT
from modelstack.platforms.kubernetes.names import API_VERSION, CONTROLLER, ENDPOINT
from modelstack.rollout.controller.commands import PLAIN, Commands
from modelstack.rollout.controller.notice import Notice, notice
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.rollout.core.event import Event
from modelstack.services.release_names import digest

MESSAGE = 1024  # maximum bytes of an Event's message
_SECONDS = 5.0  # that a webhook has to answer
_NAME_DIGITS = 16
_TROUBLE = frozenset(
    {
        *("rolled_back", "rolling_back", "restoring", "failed", "stranded", "held", "untold", "left_to_judge"),
        *("reduced", "not_serving"),
    }
)


@dataclass(frozen=True)
class Webhook:
    """An HTTP endpoint that accepts the document of `modelstack.rollout.controller.notice` as JSON."""

    url: str = field(repr=False)

    def send(self, told: Notice) -> None:
        """Post a notice; raises Unreachable if it was not accepted."""
        doing = f"tell the webhook at {urlsplit(self.url).hostname}"
        content = json.dumps(told.document, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": digest(dict(told.document))}
        try:
            answer = httpx.post(self.url, content=content, headers=headers, timeout=_SECONDS, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(f"{doing}: {type(error).__name__}") from None  # its text may have the URL
        if not answer.is_success:
            raise Unreachable(f"{doing}: it answers {answer.status_code}")


@dataclass(frozen=True)
class KubernetesNotify:
    """`Notify` by Events and a webhook. `counted` is called with the kind of each sent event."""

    api: Api
    endpoint: str
    webhook: Webhook | None = None
    commands: Commands = PLAIN
    counted: Callable[[str], None] = lambda _: None

    def send(self, event: Event) -> None:
        """Send one event both ways, even if one fails; the error is raised at the end, and both may be repeated."""
        told = notice(event, self.endpoint, self.commands)
        failures: list[RolloutError] = []
        for way in (lambda: self._record(event, told), lambda: self.webhook and self.webhook.send(told)):
            try:
                way()
            except RolloutError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        self.counted(event.kind)

    def _record(self, event: Event, told: Notice) -> None:
        uid = self.api.get(ROLLOUT, self.endpoint)["metadata"]["uid"]
        self.api.apply(
            EVENT, cluster_event(event, told, self.endpoint, self.api.namespace, uid), CONTROLLER, force=True
        )


def cluster_event(event: Event, told: Notice, endpoint: str, namespace: str, uid: str) -> dict[str, Any]:
    """An Event of the Rollout with this uid. Pure."""
    about = {"apiVersion": API_VERSION, "kind": ROLLOUT.kind, "name": endpoint, "namespace": namespace, "uid": uid}
    made = event_object(
        f"{endpoint}.{digest(dict(told.document))[:_NAME_DIGITS]}",
        about,
        "".join(word.capitalize() for word in event.kind.split("_")),
        _cut(event.text),
        at=event.at,
        by=CONTROLLER,
        warning=event.kind in _TROUBLE,
    )
    made["metadata"] |= {"namespace": namespace, "labels": {ENDPOINT: endpoint}}
    return made


def _cut(text: str) -> str:
    content = text.encode()
    return text if len(content) <= MESSAGE else f"{content[: MESSAGE - 3].decode(errors='ignore')}..."
