"""A trial that waits for what no metric can ever show is refused before anything changes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelstack.program.config import checkout
from modelstack.program.config.judge_settings import CAPTURED, LABELLED, not_better
from modelstack.rollout.core import catalogue
from modelstack.rollout.core.plan import ReplayGate
from modelstack.rollout.judge.metrics import Metric
from modelstack.rollout.judge.verdict import judge
from tests.program.refusals import load, refusal
from tests.program.strategies import strategy

OWN = {"kind": "rate", "margin": 0.1, "namespace": "shop", "metric": "Refunds"}
PROVEN: dict[str, Any] = {
    "absolute_error": {"high": 90, "prove": True},
    **{name: {"prove": True} for name in ("accuracy", "invalid_answers", "log_loss")},
}
ALLOWED = "allowed is false, or a strategy without shadow"
SHADOWS = [strategy("shadow"), strategy("shadow", then=strategy("canary"))]


def judged(metrics: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"judge": {"metrics": metrics, **more}}


# --- better

NOT_BETTER = [
    {"latency_p99": {"prove": True}},
    {"latency_p99": {"prove": True}, "errors": {"prove": False}, "latency_p50": {"margin": 0}},
]


@pytest.mark.parametrize("metrics", NOT_BETTER)
def test_better_is_refused_when_no_metric_to_prove_can_show_it(metrics: dict[str, Any]) -> None:
    assert refusal(rollout=judged(metrics, promote_when="better")) == [
        'modelstack:rollout.judge.promote_when = "better": no metric with prove: true can be shown better, as of a '
        "latency with a margin only `not worse` can; allowed is not_worse, or prove: true on a rate, a mean, or a "
        "latency with margin 0"
    ]
    load(rollout=judged(metrics))


@pytest.mark.parametrize("metrics", [{"errors": {}}, {"latency_p99": {"margin": 0, "prove": True}}])
def test_better_is_allowed_when_one_metric_can_show_it(metrics: dict[str, Any]) -> None:
    assert load(rollout=judged(metrics, promote_when="better")).rollout.judge.promote_when == "better"


@pytest.mark.parametrize("name", catalogue.KNOWN)
@pytest.mark.parametrize("margin", [0.0, 0.1])
@pytest.mark.parametrize("prove", [True, False])
def test_what_can_be_better_is_what_the_judge_finds_better(name: str, margin: float, prove: bool) -> None:
    metric = replace(catalogue.KNOWN[name], margin=margin, prove=prove)
    always = Metric("slow", "quantile", 0.5, quantile=0.5)  # to be proven, and never better
    found = judge([], metrics=[metric, always], alpha=0.05, promote_when="better")
    never = found.reason.text.startswith("no metric can be shown better")
    assert (not_better([metric, always]) is not None) == never


# --- captured answers without capture


@pytest.fixture
def answers_of_any_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model has labels of every kind, so that rule is disabled."""
    monkeypatch.setattr(checkout, "losses", lambda: sorted(LABELLED))


@pytest.mark.usefixtures("answers_of_any_kind")
def test_metrics_that_come_from_captured_answers_cannot_be_proven_without_capture() -> None:
    lines = refusal(serving={"capture_percent": 0}, rollout=judged(PROVEN))
    assert lines == [
        f"modelstack:rollout.judge.metrics.{name}.prove = true: serving.capture_percent is 0, so no answer is there "
        "to be looked at, or for a label to meet; allowed is false"
        for name in PROVEN
    ]
    load(serving={"capture_percent": 1}, rollout=judged(PROVEN))
    load(serving={"capture_percent": 0}, rollout=judged({"errors": {}, "accuracy": {}, "refunds": OWN}))


def test_where_nothing_is_captured_the_defaults_that_look_at_captured_answers_are_left_out() -> None:
    made = load(serving={"capture_percent": 0}).trial.plan(60)
    assert made.replay is None
    assert [metric.name for metric in made.metrics] == ["errors", "latency_p99"], "no answer is looked at"
    assert "invalid_answers" in [metric.name for metric in load().trial.plan(60).metrics]
    assert load(serving={"capture_percent": 1}).trial.plan(60).replay == ReplayGate()


def test_every_metric_that_comes_from_captured_answers_is_tried_here() -> None:
    assert PROVEN.keys() == CAPTURED


# --- labels

CLASSES = {"kind": "classification", "classes": ["a", "b", "c"], "decision": "class"}
WINES = {**CLASSES, "probability": "shares"}
MINUTES = {"kind": "regression", "value": "minutes", "largest_error": 90}


@pytest.mark.parametrize(
    ("form", "given"),
    [(CLASSES, ["accuracy"]), (WINES, ["accuracy", "log_loss"]), (MINUTES, ["absolute_error"]), (None, [])],
)
def test_what_labels_of_the_models_answers_do_not_give_cannot_be_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: dict[str, Any] | None, given: list[str]
) -> None:
    shutil.copytree(checkout.project_root() / "model", tmp_path / "model", ignore=shutil.ignore_patterns("answer.json"))
    if form is not None:
        (tmp_path / "model" / "answer.json").write_text(json.dumps(form))
    monkeypatch.setattr(checkout, "project_root", lambda: tmp_path)
    by = "by model/answer.json, "
    can = f"labels of its answers give {' and '.join(given)}" if given else "it says nothing of its answers"
    assert refusal(rollout=judged(PROVEN)) == [
        f"modelstack:rollout.judge.metrics.{name}.prove = true: {by}{can}, so no such value will come; allowed is false"
        for name in PROVEN
        if name in LABELLED - {*given}
    ]
    load(rollout=judged({"errors": {}, "accuracy": {}, "refunds": OWN, **{name: PROVEN[name] for name in given}}))


@pytest.mark.parametrize(
    ("form", "name", "margin"),
    [
        (CLASSES, "accuracy", 0.05),
        (WINES, "log_loss", 0.1),
        (MINUTES, "absolute_error", 9),
        ({"kind": "regression", "value": "minutes"}, None, None),
        (None, None, None),
    ],
)
def test_the_loss_that_labels_give_is_compared_by_default(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: dict[str, Any] | None,
    name: str | None,
    margin: float | None,
) -> None:
    shutil.copytree(checkout.project_root() / "model", tmp_path / "model", ignore=shutil.ignore_patterns("answer.json"))
    if form is not None:
        (tmp_path / "model" / "answer.json").write_text(json.dumps(form))
    monkeypatch.setattr(checkout, "project_root", lambda: tmp_path)
    others = {"errors", "latency_p99", "invalid_answers"}
    added = [one for one in load().trial.plan(60).metrics if one.name not in others]
    assert [(one.name, one.margin, one.prove) for one in added] == ([(name, margin, False)] if name else [])
    assert [one.name for one in load(rollout=judged({"errors": {}})).trial.plan(60).metrics] == ["errors"]
    assert {one.name for one in load(serving={"capture_percent": 0}).trial.plan(60).metrics} < others


# --- shadow steps


@pytest.mark.parametrize("shadow", SHADOWS)
@pytest.mark.parametrize(("own", "default"), [(OWN, " (the default)"), ({**OWN, "prove": True}, "")])
def test_metric_of_ones_own_cannot_be_proven_in_a_shadow_step(
    shadow: dict[str, Any], own: dict[str, Any], default: str
) -> None:
    assert refusal(rollout={"strategy": shadow, **judged({"errors": {}, "refunds": own})}) == [
        f"modelstack:rollout.judge.metrics.refunds.prove = true{default}: in a shadow step no service sees the "
        f"challenger's answers, so none publishes a metric of them; {ALLOWED}"
    ]
    load(rollout={"strategy": strategy("canary"), **judged({"errors": {}, "refunds": own})})


@pytest.mark.usefixtures("answers_of_any_kind")
@pytest.mark.parametrize("shadow", SHADOWS)
def test_what_the_platform_counts_and_what_labels_tell_can_be_proven_in_a_shadow_step(shadow: dict[str, Any]) -> None:
    proven = {"errors": {}, "latency_p50": {"prove": True}, "latency_p90": {}, "latency_p99": {"prove": True}}
    settings = load(rollout={"strategy": shadow, **judged({**proven, **PROVEN, "refunds": {**OWN, "prove": False}})})
    by_prove = {item.name for item in settings.rollout.plan(60).metrics if item.prove}
    assert by_prove == {"errors", "latency_p50", "latency_p99", *PROVEN}
