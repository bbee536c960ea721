"""The alarms of a stack, whatever compiles them: which there are, and what they say."""

from __future__ import annotations

from modelstack.monitoring.objectives.slo import Objective, rules, still
from modelstack.services.declaration.alarms import (
    Burn,
    EvidenceRule,
    Silence,
    Watch,
    objective_alarms,
    probe_alarm,
    variant_alarms,
)

OBJECTIVE = Objective(0.999, 0.99, 250, 30 * 86_400, 20)
WINDOWS = rules(OBJECTIVE, 60)
WATCH = Watch(period_seconds=60, max_5xx_rate=0.05, max_p99_ms=80, nats=8, drift_minutes=2, max_loss_rise=0.25)
ALARMS = {spec.measure: spec for spec in variant_alarms(WATCH, "v-a")}


def test_failures_and_slowness_of_a_variant_can_roll_it_back_and_drift_and_concept_can_retrain() -> None:
    assert {name: spec.role for name, spec in ALARMS.items()} == {
        "5xx": "rollback",
        "p99": "rollback",
        "drift": "retrain",
        "concept": "retrain",
    }
    assert {spec.severity for spec in ALARMS.values()} == {"ticket"}
    assert {name: spec.threshold for name, spec in ALARMS.items()} == {
        "5xx": 0.05,
        "p99": 0.01,
        "drift": 1,
        "concept": 1,
    }


def test_a_concept_stays_as_it_was_without_labels_and_a_drift_lasts_for_two_sweeps() -> None:
    assert {name: spec.missing.treatment for name, spec in ALARMS.items()} == {
        "5xx": "notBreaching",
        "p99": "notBreaching",
        "drift": "notBreaching",
        "concept": "ignore",
    }
    assert ALARMS["drift"].condition == EvidenceRule("DriftEvidence", 240)


def test_each_says_whose_it_is_and_what_is_tolerated() -> None:
    for measure, said in {"5xx": "5.0%", "p99": "80 ms", "drift": "0.05 false alarms", "concept": "25%"}.items():
        assert "v-a" in ALARMS[measure].text
        assert said in ALARMS[measure].text


def test_the_budget_pages_when_a_long_window_and_the_short_one_burn_and_asks_for_a_ticket_on_the_longest() -> None:
    page, ticket = objective_alarms(OBJECTIVE, WINDOWS, still(WINDOWS, 60), 12)
    assert isinstance(page.condition, Burn) and isinstance(ticket.condition, Burn)
    assert [window.name for window in page.condition.windows] == ["fast", "slow"]
    assert page.condition.short is not None and page.condition.short.name == "still"
    assert ([window.name for window in ticket.condition.windows], ticket.condition.short) == (["lasting"], None)
    assert (page.severity, ticket.severity, ticket.threshold) == ("page", "ticket", 1)
    assert ticket.text.startswith("Over 3 days the error budget")


def test_a_probe_that_does_not_run_pages_once_a_new_endpoint_had_time_to_begin() -> None:
    often, seldom = probe_alarm(1), probe_alarm(30)
    assert (often.condition, seldom.condition) == (Silence(1, 30), Silence(30, 120))
    assert (often.severity, often.missing.treatment) == ("page", "breaching")
