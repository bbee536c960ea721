"""Envoys that were scraped, as samples of a Prometheus: what each counted, second by second, is written by hand."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from modelstack.platforms.kubernetes import metrics

START = 1_767_614_400  # on every grid
_SELECTOR = re.compile(r"^(?P<name>[\w:]*)\{(?P<matchers>.*)\}\[(?P<ms>\d+)ms\]$")
_MATCHER = re.compile(r'(\w+)(=~|!~|=|!=)"((?:[^"\\]|\\.)*)"')
_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "=~": lambda value, wanted: re.fullmatch(wanted, value) is not None,
    "!~": lambda value, wanted: re.fullmatch(wanted, value) is None,
}
Labels = tuple[tuple[str, str], ...]


@dataclass
class Tsdb:
    """Samples, and the part of Prometheus's HTTP API that gives them back as they are."""

    series: dict[tuple[str, Labels], dict[float, float]] = field(default_factory=lambda: defaultdict(dict))
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])
    said: dict[str, Any] = field(default_factory=dict[str, Any])  # what queries that are no selector say
    rules: dict[str, Any] = field(default_factory=dict[str, Any])  # what it says of its rules

    def add(self, name: str, at: float, value: float, **labels: str) -> None:
        self.series[name, tuple(sorted(labels.items()))][at] = value

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer), base_url="http://prometheus:9090")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        asked = dict(request.url.params)
        self.asked.append((request.url.path, asked))
        if request.url.path.endswith("/rules"):
            return httpx.Response(200, json={"status": "success", "data": self.rules})
        query = asked.get("query", "")
        for start, data in self.said.items():
            if query.startswith(start):
                return httpx.Response(200, json={"status": "success", "data": data})
        match = _SELECTOR.match(query)
        assert match, query
        found = self._select(match["name"], match["matchers"], float(asked["time"]), int(match["ms"]) / 1000)
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": found}})

    def _select(self, name: str, matchers: str, end: float, length: float) -> list[dict[str, Any]]:
        wanted = [(label, test, value.replace("\\\\", "\\")) for label, test, value in _MATCHER.findall(matchers)]
        return [
            {"metric": {"__name__": name, **dict(labels)}, "values": values}
            for (metric, labels), points in self.series.items()
            if metric == name and all(_TESTS[test](dict(labels).get(label, ""), value) for label, test, value in wanted)
            if (values := [[at, f"{value}"] for at, value in sorted(points.items()) if end - length < at <= end])
        ]


@dataclass
class Envoy:
    """A process that counts since it was `born`, epoch seconds, and is scraped by a job."""

    tsdb: Tsdb
    instance: str = "10.0.0.1:19001"
    born: float = START - 10_000
    job: str = "envoy"
    counts: dict[tuple[str, Labels], float] = field(default_factory=lambda: defaultdict(float))

    def answer(self, cluster: str, code: str = "2", times: int = 1, *, milliseconds: float | None = None) -> None:
        """Answers of a cluster's pods, which the listener passes on."""
        named = {"envoy_cluster_name": cluster, "envoy_response_code_class": code}
        self._count("envoy_cluster_canary_upstream_rq_xx", times, **named)
        self.lose(cluster, times, code)
        for edge in EDGES if milliseconds is not None else ():
            within = milliseconds is not None and milliseconds <= float(edge)
            timed = {"envoy_cluster_name": cluster, "le": edge}
            self._count("envoy_cluster_upstream_rq_time_bucket", times if within else 0, **timed)

    def lose(self, cluster: str, times: int = 1, code: str = "5") -> None:
        """Requests to a cluster that no pod answers, unless it was counted before."""
        self._count("envoy_cluster_upstream_rq_xx", times, envoy_cluster_name=cluster, envoy_response_code_class=code)
        self.itself(code, times)

    def itself(self, code: str, times: int = 1) -> None:
        """Answers of the listener."""
        named = {"envoy_http_conn_manager_prefix": "http-10080", "envoy_response_code_class": code}
        self._count("envoy_http_downstream_rq_xx", times, **named)

    def _count(self, name: str, times: float, **labels: str) -> None:
        self.counts[name, tuple(sorted(labels.items()))] += times

    def restart(self, at: float) -> None:
        """All counters are gone, and born again with their first count."""
        self.counts.clear()
        self.born = at

    def scrape(self, at: float, *, fails: bool = False) -> None:
        place = {"instance": self.instance, "job": self.job}
        self.tsdb.add("up", at, 0.0 if fails else 1.0, **place)
        if fails:
            return
        self.tsdb.add("envoy_server_uptime", at, at - self.born, **place)
        for (name, labels), value in self.counts.items():
            self.tsdb.add(name, at, value, **place, **dict(labels))


EDGES = (*map(str, metrics.EDGES), "+Inf")


def played(envoy: Envoy, events: Mapping[float, Callable[[], object]], scrapes: Iterable[float]) -> None:
    """Let things happen, in order, and scrape; times are seconds after START."""
    times: list[tuple[float, int, Callable[[], object]]] = [(at, 0, call) for at, call in events.items()]

    def scrape(at: float) -> Callable[[], object]:
        return lambda: envoy.scrape(START + at)

    times += [(at, 1, scrape(at)) for at in scrapes]
    for _, _, call in sorted(times, key=lambda item: item[:2]):
        call()


def every(seconds: float, start: float, end: float, *, without: Sequence[float] = ()) -> list[float]:
    """Times of scrapes."""
    found, at = list[float](), start
    while at <= end:
        if at not in without:
            found.append(at)
        at += seconds
    return found
