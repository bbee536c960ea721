"""A Prometheus on loopback that has what a test says of two variants, and fires when it says so."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from modelstack.platforms.kubernetes.metrics import whose
from modelstack.platforms.kubernetes.rule import MEASURE
from modelstack.services.declaration.alarm_names import FAILS, SLOW, alarm_name
from tests.listening import Quiet, listening
from tests.platforms.kubernetes.scrapes import Envoy, Tsdb

EVERY = 0.5
"""Seconds between two scrapes."""


@dataclass
class Scraped:
    """Two variants behind one Envoy, scraped for as long as the block lasts; alarms of `failing` ones fire."""

    namespace: str
    endpoint: str
    clusters: dict[str, str]
    url: str = ""
    failing: set[str] = field(default_factory=set[str])
    since: float = 0.0
    tsdb: Tsdb = field(default_factory=Tsdb)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _end: threading.Event = field(default_factory=threading.Event)

    def fail(self, variant: str) -> None:
        """Let a variant fail from now on."""
        self.since = time.time()
        self.failing.add(variant)

    def scrape(self) -> None:
        """Count and scrape, again and again."""
        envoy = Envoy(self.tsdb, born=time.time() - 100)
        for cluster in self.clusters.values():
            for code in "25":
                envoy.answer(cluster, code, 0)
        while not self._end.wait(EVERY):
            with self._lock:
                for variant, cluster in self.clusters.items():
                    envoy.answer(cluster, "5" if variant in self.failing else "2", 60)
                envoy.scrape(time.time())

    def answer(self, path: str) -> dict[str, Any]:
        """What Prometheus's API says."""
        url = httpx.URL(path)
        if url.path.endswith("/rules"):
            return {"groups": [self._group()]}
        with self._lock, self.tsdb.client() as client:
            return client.get(url.raw_path.decode()).json()["data"]

    def _group(self) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat()
        rules = [self._rule(variant, measure) for variant in self.clusters for measure in (FAILS, SLOW)]
        return {"name": self.endpoint, "interval": 1, "lastEvaluation": now, "rules": rules}

    def _rule(self, variant: str, measure: str) -> dict[str, Any]:
        name = alarm_name(self.endpoint, variant, measure)
        alert = {
            "labels": {"alertname": name},
            "annotations": {"summary": "it fails", "threshold": "0.05"},
            "state": "firing",
            "activeAt": datetime.fromtimestamp(self.since, UTC).isoformat(),
            "value": "1",
        }
        fires = measure == FAILS and variant in self.failing
        labels = {**whose(self.namespace, self.endpoint), "variant": variant, MEASURE: measure}
        return {"name": name, "health": "ok", "labels": labels, "alerts": [alert] if fires else []}


@contextmanager
def scraped(namespace: str, endpoint: str, clusters: dict[str, str]) -> Generator[Scraped]:
    """Serve it until the block ends."""
    world = Scraped(namespace, endpoint, clusters)

    class Handler(Quiet):
        def do_GET(self) -> None:
            body = json.dumps({"status": "success", "data": world.answer(self.path)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with listening(Handler) as world.url:
        threading.Thread(target=world.scrape, daemon=True).start()
        try:
            yield world
        finally:
            world._end.set()
