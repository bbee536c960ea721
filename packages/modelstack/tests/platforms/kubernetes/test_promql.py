from __future__ import annotations

from pathlib import Path

import pytest

from modelstack.platforms.kubernetes.alarm_rules import counts
from modelstack.platforms.kubernetes.promql import rise, scraped
from modelstack.platforms.kubernetes.rule import Watched
from tests.platforms.kubernetes.test_alarm_rules import TARGET, promtool

OLD, NEW = "9000+10x40", "0+10x40"  # the uptime of a process, each 10 s


def test_the_rules_of_a_variant_know_what_was_there_long_before() -> None:
    watched = Watched(
        "models", "e", {"v-a": ("a",)}, every_seconds=10, period_seconds=60, max_5xx_rate=0.05, max_p99_ms=80, nats=8.0
    )
    rules = counts(watched, "v-a", 10, 100)
    told = {rule["record"]: str(rule["expr"]) for rule in rules}
    assert told["modelstack:counters:older"].count("offset 120s") == 4
    assert all("unless modelstack:counters:older{" in told[f"modelstack:{name}:rise"] for name in ("requests", "timed"))


@pytest.mark.slow
@pytest.mark.needs("prometheus")
@pytest.mark.parametrize(
    ("older", "uptime", "risen"),
    [(None, OLD, 500), ("400x40", OLD, None), ("400x40", NEW, 500)],
    ids=["born", "recorded for the first time since a rule was declared again", "of a new process"],
)
def test_a_counter_that_is_recorded_for_the_first_time_is_born_only_if_it_was_not_there_long_before(
    tmp_path: Path, older: str | None, uptime: str, risen: float | None
) -> None:
    series = {"seen": "_x12 500x20", "up": "1x40", "envoy_server_uptime": uptime, **({"older": older} if older else {})}
    expression = f"sum({rise('seen', 'seen offset 10s', scraped(20), 'older')})"
    samples = [] if risen is None else [{"labels": "{}", "value": risen}]
    test = {
        "interval": "10s",
        "input_series": [{"series": f"{name}{{{TARGET}}}", "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": "120s", "exp_samples": samples}],
    }
    promtool(tmp_path, {"evaluation_interval": "10s", "tests": [test]})
