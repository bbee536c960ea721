from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from modelstack.monitoring.alarms.alarm import Alarm, Said
from modelstack.monitoring.alarms.alike import Numbers
from modelstack.platforms.clock import SystemClock
from modelstack.platforms.kubernetes.alarm_rules import group
from modelstack.platforms.kubernetes.alarm_states import PrometheusAlarms
from modelstack.platforms.kubernetes.counters import PrometheusCounters
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.platforms.kubernetes.rule import Watched
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.core.errors import Unreachable
from modelstack.rollout.core.failing import Counted
from modelstack.rollout.core.plan import ERRORS, Plan, Step
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.services.alarms import JudgedAlarms
from tests.platforms.kubernetes.scrapes import START, Envoy, Tsdb, every, played
from tests.rollout.worlds import release

A, B = "service/models/champion/8080/http", "service/models/challenger/8080/http"
CLUSTERS = {"v-a": (A,), "v-b": (B,)}
WATCHED = Watched(
    "models", "endpoint", CLUSTERS, every_seconds=5, period_seconds=20, max_5xx_rate=0.05, max_p99_ms=80, nats=8.0
)
STATE = RolloutState(
    "endpoint", rollout_id="r", phase=Phase.BAKING, champion=release("a"), challenger=release("b"),
    plan=Plan(steps=(Step(10, 30),), window_seconds=10, metrics=(ERRORS, KNOWN["latency_p99"])),
    started_at=START - 100.0,
)  # fmt: skip
NOW = START + 60.0


def told(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")


def rules(fires: Mapping[str, str] | None = None, *, evaluated: float = NOW - 2, **changes: Any) -> dict[str, Any]:
    """The rules as Prometheus tells them: names of alerts that fire -> their values."""
    found = [
        {
            "name": rule["alert"],
            "labels": rule["labels"],
            "annotations": rule["annotations"],
            "health": "ok",
            "alerts": [
                {
                    "labels": {"alertname": rule["alert"], **rule["labels"]},
                    "annotations": {**rule["annotations"], "summary": "it fails"},
                    "state": "firing",
                    "activeAt": told(NOW - 5),
                    "value": (fires or {})[rule["alert"]],
                }
            ]
            if rule["alert"] in (fires or {})
            else [],
            **changes,
        }
        for rule in group(WATCHED)["rules"]
        if "alert" in rule
    ]
    return {"groups": [{"name": "endpoint", "interval": 5, "lastEvaluation": told(evaluated), "rules": found}]}


def alarms(data: dict[str, Any], tsdb: Tsdb | None = None) -> JudgedAlarms:
    it = tsdb or Tsdb()
    it.rules = data
    prometheus = Prometheus(it.client())
    counters = PrometheusCounters(prometheus, "models", "endpoint", CLUSTERS.__getitem__)
    return JudgedAlarms(PrometheusAlarms(prometheus, "models", "endpoint", now=lambda: NOW), counters, SystemClock())


def test_what_fires_of_both_versions_is_told_with_value_threshold_and_since_when() -> None:
    data = rules({"endpoint-v-b-5xx": "1.2e-01", "endpoint-v-a-p99": "NaN", "endpoint-v-b-drift": "2"})
    found = alarms(data).firing(STATE)
    assert [(item.variant, item.reason.name, item.since) for item in found] == [
        ("v-a", "endpoint-v-a-p99", pytest.approx(NOW - 5, abs=1)),
        ("v-b", "endpoint-v-b-5xx", pytest.approx(NOW - 5, abs=1)),
    ]
    assert found[1].reason.numbers == {"value": 0.12, "threshold": 0.05}
    assert found[0].reason.numbers == {"threshold": 0.01}, "not a number is none"
    firing = alarms(data).all_firing(STATE)
    assert [alarm.measure for alarm in firing] == ["latency", "errors"]
    assert all(alarm.metrics for alarm in firing), (
        "else nobody answers them: see `modelstack.monitoring.alarms.response`"
    )


def test_an_alarm_that_only_may_fire_soon_does_not() -> None:
    data = rules({"endpoint-v-b-5xx": "0.2"})
    for rule in data["groups"][0]["rules"]:
        for alert in rule["alerts"]:
            alert["state"] = "pending"
    assert alarms(data).firing(STATE) == ()


def test_of_another_endpoint_or_version_nothing_is_told() -> None:
    data = rules({"endpoint-v-b-5xx": "0.2"})
    data["groups"][0]["name"] = "other"
    with pytest.raises(Unreachable, match="the rule 5xx of v-a is not loaded"):
        alarms(data).firing(STATE)
    later = replace(STATE, champion=release("c"), challenger=None)
    with pytest.raises(Unreachable, match="v-c is not loaded"):
        alarms(rules({"endpoint-v-b-5xx": "0.2"})).firing(later)


def test_a_stack_of_the_same_name_in_another_namespace_is_passed_over(tsdb: Tsdb, envoy: Envoy) -> None:
    """Promoted from one to the other, a release has the same variant in both, and its alarms have the same names."""
    ours, theirs = rules(), rules({"endpoint-v-b-5xx": "0.5", "endpoint-v-a-5xx": "0.5"}, evaluated=NOW - 600)
    for rule in theirs["groups"][0]["rules"]:
        rule["labels"] = {**rule["labels"], "namespace": "others"}
        rule["annotations"] = {**rule["annotations"], "threshold": "0.5"}
    both = {"groups": [*ours["groups"], *theirs["groups"]]}
    assert alarms(both).firing(STATE) == ()
    with pytest.raises(Unreachable, match="is not loaded"):
        alarms(theirs).firing(STATE)
    failing(envoy, 10, 50)
    assert numbers(tsdb, data=both) == Numbers(0.05, Counted(200, 400), Counted(40, 400), champion_fires=False)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"groups": []}, "is not loaded"),
        (rules(evaluated=NOW - 600), "its rules were evaluated 600 s ago"),
        (rules(health="err", lastError="many-to-many"), "is err: many-to-many"),
        (rules(health="unknown"), "is unknown: not evaluated yet"),
    ],
    ids=["not there", "long ago", "failing", "never"],
)
def test_when_nobody_can_say_that_nothing_fires_it_is_unknown(data: dict[str, Any], why: str) -> None:
    with pytest.raises(Unreachable, match=why):
        alarms(data).firing(STATE)


def test_rules_that_were_never_evaluated_say_nothing() -> None:
    data = rules()
    data["groups"][0]["lastEvaluation"] = "0001-01-01T00:00:00Z"
    with pytest.raises(Unreachable, match="were not evaluated yet"):
        alarms(data).firing(STATE)


def test_what_fires_counts_though_another_rule_is_missing() -> None:
    data = rules({"endpoint-v-b-5xx": "0.2"})
    data["groups"][0]["rules"] = [rule for rule in data["groups"][0]["rules"] if rule["alerts"]]
    assert [item.variant for item in alarms(data).firing(STATE)] == ["v-b"]


def answers(envoy: Envoy, champion: int, challenger: int, of: tuple[int, int] = (100, 100)) -> Callable[[], None]:
    """So many requests of each, and so many of them that fail."""

    def count() -> None:
        for cluster, failed, requests in ((A, champion, of[0]), (B, challenger, of[1])):
            envoy.answer(cluster, "5", failed)
            envoy.answer(cluster, "2", requests - failed)

    return count


def failing(envoy: Envoy, champion: int, challenger: int) -> None:
    """A minute in whose last 20 s so many of 100 requests of each fail every five seconds."""
    played(envoy, dict.fromkeys((41, 46, 51, 56), answers(envoy, champion, challenger)), every(5, -58, 60))


BOTH_FIRE = {"endpoint-v-b-5xx": "0.5", "endpoint-v-a-5xx": "0.5"}


def test_scrapes_that_come_late_take_nothing_from_an_outage_that_both_share(tsdb: Tsdb, envoy: Envoy) -> None:
    scrapes = every(5, -58, 37)  # and none in the alarm's last 20 s
    played(envoy, dict.fromkeys((21, 26, 31, 36), answers(envoy, 50, 50)), scrapes)
    assert [item.variant for item in alarms(rules(BOTH_FIRE, evaluated=NOW - 22), tsdb).firing(STATE)] == ["v-a"]


@pytest.mark.parametrize("late", [(46,), (46, 51), (41, 46, 51)])
def test_what_was_counted_in_a_gap_between_scrapes_is_compared_at_its_end(
    tsdb: Tsdb, envoy: Envoy, late: tuple[float, ...]
) -> None:
    played(envoy, dict.fromkeys((40, 45, 50, 55), answers(envoy, 50, 50)), every(5, -59, 56, without=late))
    assert [item.variant for item in alarms(rules(BOTH_FIRE), tsdb).firing(STATE)] == ["v-a"]


ALARM = Alarm(
    "endpoint-v-b-5xx",
    "ALARM",
    Said("it fails"),
    NOW,
    "endpoint",
    "v-b",
    ("envoy_cluster_canary_upstream_rq_xx",),
    "errors",
)


def numbers(tsdb: Tsdb, alarm: Alarm = ALARM, data: dict[str, Any] | None = None) -> Numbers | None:
    return alarms(rules({"endpoint-v-a-5xx": "0.1"}) if data is None else data, tsdb).numbers(alarm, "v-a")


def test_the_numbers_are_those_up_to_now_of_both_at_the_same_times(tsdb: Tsdb, envoy: Envoy) -> None:
    failing(envoy, 10, 50)
    assert numbers(tsdb) == Numbers(0.05, Counted(200, 400), Counted(40, 400), champion_fires=True)


def test_the_last_scrape_counts_at_once(tsdb: Tsdb, envoy: Envoy) -> None:
    played(envoy, {55: answers(envoy, 40, 20, of=(40, 20))}, every(5, -58, 60))
    assert alarms(rules({"endpoint-v-b-5xx": "1"}), tsdb).firing(STATE) == (), "both fail, as far as anybody has seen"


def test_what_was_scraped_in_the_same_second_as_the_rule_was_evaluated_counts(tsdb: Tsdb, envoy: Envoy) -> None:
    played(envoy, {58: answers(envoy, 40, 20, of=(40, 20))}, every(5, -60, 61))
    at_once = replace(ALARM, at=NOW + 0.3)
    assert numbers(tsdb, at_once) == Numbers(0.05, Counted(20, 20), Counted(40, 40), champion_fires=True)


def test_times_at_which_the_challenger_was_well_are_left_out(tsdb: Tsdb, envoy: Envoy) -> None:
    well, fails = answers(envoy, 0, 0, of=(20, 20)), answers(envoy, 0, 20, of=(20, 40))
    played(envoy, {43: well, 56: fails}, every(5, -58, 60))
    assert numbers(tsdb, data=rules()) == Numbers(0.05, Counted(20, 40), Counted(0, 20), champion_fires=False)


def test_slow_answers_are_counted_above_the_bound_of_the_alarm(tsdb: Tsdb, envoy: Envoy) -> None:
    def answers() -> None:
        envoy.answer(B, times=4, milliseconds=400)
        envoy.answer(B, times=6, milliseconds=81)  # the alarm is on 80 ms, and its bound 82
        envoy.answer(A, times=10, milliseconds=20)

    played(envoy, {53: answers}, every(5, -58, 60))
    slow = replace(ALARM, name="endpoint-v-b-p99", measure="latency")
    assert numbers(tsdb, slow) == Numbers(0.01, Counted(4, 10), Counted(0, 10), champion_fires=False)
