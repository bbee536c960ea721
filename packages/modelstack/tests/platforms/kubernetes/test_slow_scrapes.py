"""What the rules count of an Envoy whose scrapes take their time: a real Prometheus evaluates them in between."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import httpx
import pytest
import yaml

from localcloud.testing import free_port
from modelstack.platforms.kubernetes.alarm_rules import group
from modelstack.platforms.kubernetes.rule import Watched, rule_file
from tests.listening import Quiet, listening
from tests.platforms.kubernetes.stage import program, until

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.needs("prometheus")]

CLUSTER = "service/models/champion/8080/http"
WATCHED = Watched("models", "e", {"v-a": (CLUSTER,)}, every_seconds=2, period_seconds=5, max_5xx_rate=0.05,
                  max_p99_ms=100, nats=8.0)  # fmt: skip
TAKES, SECONDS, RATE = 1.0, 16.0, 100  # a scrape takes half of the time: half of the evaluations fall into one
MISSED, TOO_LONG = 4, 3.0  # the fourth scrape of each takes longer than Prometheus waits


class Slow:
    def __init__(self) -> None:
        self.began, self.ended, self.scrapes = time.time(), 0.0, count(1)

    def requests(self) -> int:
        return int(((self.ended or time.time()) - self.began) * RATE)

    def text(self) -> str:
        all_of_them, of = self.requests(), f'envoy_cluster_name="{CLUSTER}"'
        failed = all_of_them // 10
        return "\n".join(
            (
                f"envoy_server_uptime{{}} {int(time.time() - self.began)}",
                f'envoy_cluster_upstream_rq_xx{{{of},envoy_response_code_class="2"}} {all_of_them - failed}',
                f'envoy_cluster_upstream_rq_xx{{{of},envoy_response_code_class="5"}} {failed}',
                f'envoy_cluster_canary_upstream_rq_xx{{{of},envoy_response_code_class="5"}} {failed}',
                f'envoy_cluster_upstream_rq_time_bucket{{{of},le="100"}} {all_of_them}',
                f'envoy_cluster_upstream_rq_time_bucket{{{of},le="+Inf"}} {all_of_them}',
                "",
            )
        )

    @contextmanager
    def serving(self) -> Generator[str]:
        outer = self

        class Handler(Quiet):
            def do_GET(self) -> None:
                text = outer.text().encode()
                time.sleep(TOO_LONG if next(outer.scrapes) == MISSED else TAKES)
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                with suppress(BrokenPipeError):  # nobody waits for it any more
                    self.wfile.write(text)

        with listening(Handler) as url:
            yield url.removeprefix("http://")


def test_each_request_is_counted_once_whenever_a_scrape_ends_and_if_one_is_missed(tmp_path: Path) -> None:
    # Prometheus scrapes each of them at another part of the two seconds.
    envoys, port = [Slow() for _ in range(8)], free_port()
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule_file([group(WATCHED)])))
    with ExitStack() as serving:
        targets = [serving.enter_context(envoy.serving()) for envoy in envoys]
        job = {"job_name": "envoy", "static_configs": [{"targets": targets}]}
        times = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), "2s")
        whole = {"global": times, "rule_files": [str(tmp_path / "rules.yml")], "scrape_configs": [job]}
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(whole))
        words = ["prometheus", f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'db'}"]
        with (
            program([*words, f"--web.listen-address=127.0.0.1:{port}"], tmp_path / "log"),
            httpx.Client(base_url=f"http://127.0.0.1:{port}") as asked,
        ):

            def value(expression: str) -> float:
                found = asked.get("/api/v1/query", params={"query": expression}).json()["data"]["result"]
                return float(found[0]["value"][1]) if found else 0.0

            def total(name: str) -> float:
                return value(f"sum(sum_over_time(modelstack:{name}:rise[5m]))")

            until(lambda: value("count(up == 1)") == len(envoys))
            time.sleep(SECONDS)
            assert value("min(min_over_time(up[5m]))") == 0
            for envoy in envoys:
                envoy.ended = time.time()
            counted = [envoy.requests() for envoy in envoys]
            until(lambda: value('sum(envoy_cluster_upstream_rq_time_bucket{le="+Inf"})') == sum(counted))
            time.sleep(5)  # for the rules, too
            assert {name: total(name) for name in ("requests", "timed", "failed", "slow")} == {
                "requests": sum(counted), "timed": sum(counted), "failed": sum(one // 10 for one in counted), "slow": 0
            }  # fmt: skip
            assert value("count_over_time((modelstack:slow:rise != 0)[5m:1s])") == 0, "nor for a moment"
