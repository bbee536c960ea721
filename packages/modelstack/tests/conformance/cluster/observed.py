"""What runs during a trial in a cluster: captured answers are stored and labelled, and metrics published."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING

import httpx

from modelstack.platforms.kubernetes.captures import Captures, intake
from modelstack.platforms.kubernetes.labels import join, labels_of, take_labels
from modelstack.platforms.kubernetes.measured import text
from modelstack.platforms.kubernetes.metrics import ENDPOINT, ROLLOUT, VARIANT, matched, series
from modelstack.rollout.core.errors import RolloutError
from modelstack.services.promises import Promises
from tests.conformance.stage import LABEL_LATE
from tests.platforms.aws.on_cloud import DECLARED

if TYPE_CHECKING:
    from tests.conformance.cluster.stage import ClusterStage

_ANSWERS = 10  # that a metric of the user's is published of at a time
_PAUSE = 0.5


def _member(_: object, name: str) -> bytes | None:
    return json.dumps(DECLARED).encode() if name == "answer.json" else None


class Observed:
    def __init__(self, stage: ClusterStage) -> None:
        self._stage, self._database = stage, stage.world.shared.database
        self._fetched: dict[str, int] = {}
        self._unlabelled = deque[tuple[float, str]]()

    def kept(self, variant: str) -> bool:
        return bool(Captures(self._database, self._stage.endpoint).keys(variant, "", 1))

    def keep(self, stop: Event) -> None:
        """Bring what the pods answered to the database, as the serving runtime does."""
        while not stop.wait(_PAUSE):
            for release in list(self._stage.releases.values()):
                for address in self._stage.world.addresses(release.config_name):
                    with suppress(httpx.HTTPError, RolloutError):
                        self._fetch(release.variant, address)

    def _fetch(self, variant: str, address: str) -> None:
        first = self._fetched.get(address, 0)
        answer = self._stage.world.shared.client.get(f"{address}/captured/{first}")
        lines = [line for line in answer.content.splitlines() if line] if answer.is_success else []
        if lines:
            intake(self._database, self._stage.endpoint, variant, b"\n".join(lines))
            self._fetched[address] = first + len(lines)
            at = time.time() + LABEL_LATE
            named = [json.loads(line)["eventMetadata"].get("inferenceId") for line in lines]
            self._unlabelled.extend((at, name) for name in named if name)

    def label(self, label: bool | None, stop: Event) -> None:
        """Join, and publish what comes of it; label what was answered two seconds ago."""
        endpoint = self._stage.endpoint
        while not stop.wait(_PAUSE):
            with suppress(RolloutError):
                due = list[str]()
                while self._unlabelled and self._unlabelled[0][0] <= time.time():
                    due.append(self._unlabelled.popleft()[1])
                if due and label is not None:
                    lines = [json.dumps({"inference_id": name, "label": label}).encode() for name in due]
                    take_labels(self._database, endpoint, f"{due[0]}.jsonl", b"\n".join(lines))
                promises = Promises(self._stage.state(), _member)
                join(self._database, endpoint, labels_of(self._database, promises, time.time))
                self._stage.world.tells(text(self._database, self._stage.api.namespace, [endpoint]))

    def publish(self, namespace: str, metric: str, rates: Mapping[str, float], stop: Event) -> None:
        base, counts = series(metric, namespace), dict.fromkeys(rates, 0)
        while not stop.wait(_PAUSE):
            place = {ENDPOINT: self._stage.endpoint, ROLLOUT: self._stage.state().rollout_id}
            lines = list[str]()
            for role, rate in rates.items():
                counts[role] += _ANSWERS
                labels = place | {VARIANT: f"v-{role}"}
                lines.append(f"{matched(f'{base}_count', labels)} {counts[role]}\n")
                lines.append(f"{matched(f'{base}_sum', labels)} {counts[role] * rate:g}\n")
            self._stage.world.tells("".join(lines))
