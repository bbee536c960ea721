"""A real Envoy before two small servers, and a real Prometheus and Alertmanager that watch it: no cluster.

    with stage(tmp_path, rules=[...]) as it:
        it.ask(90, bad=3)

Envoy takes its routes from a file, as it would from a control plane; each variant has a route of its own by header.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from localcloud.testing import free_port
from modelstack.platforms.kubernetes import metrics
from modelstack.platforms.kubernetes.alertmanager import config, token_file, wake_url
from modelstack.platforms.kubernetes.rule import Rule, rule_file
from tests.listening import Quiet, listening
from tests.machine import envoy

CLUSTERS = {
    "v-a": "service/models/endpoint-aaaaaaaaaaaa/8080/http",
    "v-b": "service/models/endpoint-bbbbbbbbbbbb/8080/http",
}
TARGET = "x-modelstack-target"
FINE = {"match": {"suffix": "upstream_rq_time"}, "buckets": metrics.EDGES}
"""The latency buckets of the gateway's bootstrap config."""
_PATIENCE = 60.0
SILENT = 599


def until(condition: Callable[[], Any], patience: float = _PATIENCE) -> Any:
    """What a condition gives once it gives something."""
    end = time.monotonic() + patience
    while True:
        try:
            found = condition()
        except (httpx.HTTPError, KeyError, ValueError):
            found = None
        if found or time.monotonic() > end:
            assert found, "nothing came"
            return found
        time.sleep(0.05)


@dataclass
class Server:
    """A variant: answers as each request asks for in its path, `/<status>`; to `SILENT` it ends the connection."""

    port: int = field(default_factory=free_port)
    posts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    came: list[float] = field(default_factory=list[float])
    answers: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    @contextmanager
    def running(self) -> Generator[Server]:
        outer = self

        class Handler(Quiet):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status = int(self.path.strip("/") or 200)
                if status == SILENT:
                    self.close_connection = True
                    return
                outer.answers.append((time.time(), status))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.send_header("x-envoy-upstream-canary", "true")
                self.end_headers()

            def do_POST(self) -> None:
                outer.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                outer.came.append(time.time())
                self.do_GET()

        with listening(Handler, port=self.port):
            yield self


@contextmanager
def program(words: Sequence[str | Path], log: Path) -> Generator[subprocess.Popen[bytes]]:
    with log.open("ab") as written:
        process = subprocess.Popen([*map(str, words)], stdout=written, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@dataclass
class Stage:
    """What runs; `woken` gets the posts of Alertmanager."""

    folder: Path
    scrape: int
    servers: Mapping[str, Server]
    woken: Server
    port: int = field(default_factory=free_port)
    admin: int = field(default_factory=free_port)
    prometheus: int = field(default_factory=free_port)
    alertmanager: int = field(default_factory=free_port)
    _envoy: ExitStack = field(default_factory=ExitStack)
    _client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.prometheus}"

    def ask(self, times: int, status: int = 200, variant: str = "", *, of: int | None = None) -> float:
        """Ask the gateway, by weights or for a variant, and see what it answers; returns when that ended."""
        for _ in range(times):
            headers = {TARGET: variant} if variant else {}
            answer = self._client.get(f"http://127.0.0.1:{self.port}/{status}", headers=headers)
            assert answer.status_code == (of or status), answer.text
        return time.time()

    def weights(self, champion: int, challenger: int, *, broken: bool = False) -> None:
        """Set the weights, live; `broken`: who asks for no variant gets a 503 that the gateway makes."""
        weighted = [{"name": CLUSTERS["v-a"], "weight": champion}, {"name": CLUSTERS["v-b"], "weight": challenger}]
        shared = {"route": {"weighted_clusters": {"clusters": weighted}}}
        rest = {"direct_response": {"status": 503}} if broken else shared
        routes: list[dict[str, Any]] = [
            {
                "match": {"prefix": "/", "headers": [{"name": TARGET, "string_match": {"exact": variant}}]},
                "route": {"cluster": cluster},
            }
            for variant, cluster in CLUSTERS.items()
        ]
        made = {
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": "r",
            "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [*routes, {"match": {"prefix": "/"}, **rest}]}],
        }
        new = self.folder / "rds.new"
        version = str(time.time_ns())
        new.write_text(json.dumps({"version_info": version, "resources": [made]}))
        new.rename(self.folder / "rds.json")
        if self.servers and (self.folder / "envoy.json").exists():
            dump = f"http://127.0.0.1:{self.admin}/config_dump?resource=dynamic_route_configs"
            until(lambda: version in httpx.get(dump).text)

    def start_envoy(self) -> None:
        configured = self.folder / "envoy.json"
        configured.write_text(json.dumps(self._bootstrap()))
        words = [envoy(), "-c", configured, "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"]
        self._envoy.enter_context(program(words, self.folder / "envoy.log"))
        until(lambda: httpx.get(f"http://127.0.0.1:{self.admin}/ready").status_code == 200)

    def stop_envoy(self) -> None:
        self._envoy.close()

    def scraped(self, after: float) -> None:
        """Wait until Envoy was scraped after a time, and Prometheus tells it."""
        query = {"query": "timestamp(envoy_server_uptime)"}

        def newest() -> bool:
            found = httpx.get(f"{self.url}/api/v1/query", params=query).json()["data"]["result"]
            return bool(found) and float(found[0]["value"][1]) > after

        until(newest)

    def _bootstrap(self) -> dict[str, Any]:
        filters = "type.googleapis.com/envoy.extensions.filters"
        manager = f"{filters}.network.http_connection_manager.v3.HttpConnectionManager"
        router = f"{filters}.http.router.v3.Router"
        connections = {
            "@type": manager,
            "stat_prefix": "http-10080",
            "rds": {
                "route_config_name": "r",
                "config_source": {"path_config_source": {"path": str(self.folder / "rds.json")}},
            },
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
        }
        clusters = [cluster_of(CLUSTERS[variant], server.port) for variant, server in self.servers.items()]
        return {
            "node": {"id": "one", "cluster": "gateway"},
            "admin": {"address": address(self.admin)},
            "stats_config": {"use_all_default_tags": True, "histogram_bucket_settings": [FINE]},
            "static_resources": {"listeners": [listener(self.port, connections)], "clusters": clusters},
        }


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def listener(port: int, connections: dict[str, Any]) -> dict[str, Any]:
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connections}]
    return {"name": "in", "address": address(port), "filter_chains": [{"filters": filters}]}


def cluster_of(name: str, *ports: int) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(port)}} for port in ports]}]
    load = {"cluster_name": name, "endpoints": endpoints}
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": load}


@contextmanager
def stage(folder: Path, scrape: int, rules: Sequence[Rule] = ()) -> Generator[Stage]:
    """Start all of it; of the Alertmanager only when there are rules."""
    with ExitStack() as stack:
        servers = {variant: stack.enter_context(Server().running()) for variant in CLUSTERS}
        it = Stage(folder, scrape, servers, stack.enter_context(Server().running()))
        it.weights(100, 0)
        it.start_envoy()
        stack.callback(it.stop_envoy)
        (folder / "rules.yml").write_text(yaml.safe_dump(rule_file(rules)))
        (folder / "prometheus.yml").write_text(yaml.safe_dump(_scraping(it)))
        if rules:
            told = yaml.safe_dump(config("endpoint", "models"))
            wake = f"http://127.0.0.1:{it.woken.port}/"
            (folder / "alertmanager.yml").write_text(told.replace(wake_url("models", "endpoint"), wake))
            token = folder / token_file("models", "endpoint")
            token.parent.mkdir(parents=True)
            token.write_text("secret")
            listens = [f"--web.listen-address=127.0.0.1:{it.alertmanager}", "--cluster.listen-address="]
            stored = [f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'alertmanager'}"]
            stack.enter_context(program(["prometheus-alertmanager", *listens, *stored], folder / "alertmanager.log"))
        words = [
            "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{it.prometheus}",
        ]  # fmt: skip
        stack.enter_context(program(words, folder / "prometheus.log"))
        it.scraped(0)
        yield it


def _scraping(it: Stage) -> dict[str, Any]:
    every = f"{it.scrape}s"
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(it.folder / "rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{it.alertmanager}"]}]}]},
        "scrape_configs": [
            {
                "job_name": "envoy",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [f"127.0.0.1:{it.admin}"]}],
            }
        ],
    }
