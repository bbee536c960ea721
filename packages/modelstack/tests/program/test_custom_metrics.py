"""The project's own metrics in a stack: tried at preview, and part of its trials, alarms, panels and worker."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pulumi
import pytest

from modelstack.monitoring.objectives.slo import Objective
from modelstack.platforms.kubernetes.alarm_rules import group
from modelstack.platforms.kubernetes.rule import Watched
from modelstack.program.config import checkout
from modelstack.program.config.settings import Settings
from modelstack.services.declaration.alarms import EvidenceRule, variant_alarms
from modelstack.services.declaration.panels import PanelSettings, quality
from modelstack.services.measuring import Measuring
from tests.program.recorded import run_program
from tests.program.refusals import load, refusal
from tests.program.strategies import strategy

OBJECTIVE = Objective(0.999, 0.99, 250, 7 * 86_400, 20)
TWO = """
from modelstack.monitoring.custom import mean, rate


@rate(better="lower", margin=0.05, alarm=0.4)
def unsure(request, answer):
    return 0.3 < answer["probability"] < 0.7


@mean(better="lower", margin=0.5, high=5)
def cost(request, answer, label):
    return 5 * (label != answer["late"]) * (request["carrier"] == "B6")
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the model of this repository, and with no metric of its own."""
    shutil.copytree(checkout.project_root() / "model", tmp_path / "model", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "monitoring").mkdir()
    monkeypatch.setattr(checkout, "project_root", lambda: tmp_path)
    return tmp_path


def written(root: Path, text: str = TWO) -> None:
    (root / "monitoring" / "metrics.py").write_text(text)


def compared(settings: Settings) -> dict[str, float]:
    return {one.name: one.margin for one in settings.trial.plan(60).metrics}


def test_the_metrics_of_this_repository_run_on_its_example() -> None:
    checkout.check_metrics()
    assert [one.name for one in checkout.custom().each.values()] == ["passenger_cost"]


def test_without_a_metric_of_its_own_a_stack_is_what_it_was(root: Path) -> None:
    (root / "monitoring" / "README.md").touch()
    checkout.check_metrics()
    settings = load()
    assert "custom" not in settings.measuring().as_dict()
    assert settings.panels(OBJECTIVE) == settings.monitoring.panels(OBJECTIVE)
    assert "custom" not in settings.panels(OBJECTIVE).to_output()
    assert settings.watch(8).custom == ()
    before = load(rollout={"judge": {"metrics": {"errors": {}}}})
    assert before.trial is before.rollout


def test_each_is_compared_whatever_else_the_config_names_and_by_the_margin_that_it_gives(root: Path) -> None:
    written(root)
    assert compared(load()) == {"errors": 0.02, "latency_p99": 0.5, "invalid_answers": 0.02, "log_loss": 0.1,
                                "cost": 0.5, "unsure": 0.05}  # fmt: skip
    named = {"errors": {}, "unsure": {"margin": 0.2, "prove": True}}
    settings = load(rollout={"judge": {"metrics": named}})
    assert compared(settings) == {"errors": 0.02, "unsure": 0.2, "cost": 0.5}
    (unsure,) = [one for one in settings.trial.plan(60).metrics if one.name == "unsure"]
    assert (unsure.metric, unsure.prove, unsure.expected) == (next(iter(checkout.custom().each)), True, True)


def test_the_config_may_not_change_what_it_is(root: Path) -> None:
    written(root)
    (line,) = refusal(rollout={"judge": {"metrics": {"errors": {}, "unsure": {"kind": "mean", "better": "higher"}}}})
    assert "better, kind of a known metric cannot be given" in line


def test_a_shadow_step_compares_it_and_without_capture_nothing_does(root: Path) -> None:
    written(root)
    proven = {"judge": {"metrics": {"errors": {}, "unsure": {"prove": True}}}}
    assert "unsure" in compared(load(rollout={**proven, "strategy": strategy("shadow", then=strategy("canary"))}))
    uncaptured = load(serving={"capture_percent": 0}, rollout={"judge": {"metrics": {"errors": {}}}})
    assert list(compared(uncaptured)) == ["errors"]
    assert uncaptured.measuring().custom == ""
    assert (uncaptured.watch(8).custom, uncaptured.panels(OBJECTIVE).custom) == ((), ())
    (line,) = refusal(serving={"capture_percent": 0}, rollout=proven)
    assert line.startswith("modelstack:rollout.judge.metrics.unsure.prove = true: serving.capture_percent is 0")


def test_the_worker_gets_the_digest_of_all_definitions(root: Path) -> None:
    written(root)
    measuring = load().measuring()
    assert measuring.as_dict()["custom"] == checkout.custom().digest != ""
    assert Measuring.from_dict(json.loads(json.dumps(measuring.as_dict()))) == measuring
    with pytest.raises(ValueError, match=r"monitoring.custom: got 3, allowed is a text"):
        Measuring.from_dict({"custom": 3})


def test_one_with_a_threshold_has_an_alarm_of_each_variant_on_either_platform(root: Path) -> None:
    written(root)
    watch = load().watch(8)
    (alarm,) = [spec for spec in variant_alarms(watch, "v-a") if spec.measure.startswith("metric-")]
    (unsure, _) = checkout.custom().each
    assert (alarm.measure, alarm.role, alarm.missing.treatment) == ("metric-unsure", "people", "ignore")
    assert alarm.condition == EvidenceRule(f"{unsure}Evidence")
    assert "unsure of the newest captured answers of v-a is above 0.4" in alarm.text
    watched = Watched(namespace="models", endpoint="e", variants={"v-a": ("a",)}, every_seconds=2, **vars(watch))
    (rule,) = [one for one in group(watched)["rules"] if one.get("alert") == "e-v-a-metric-unsure"]
    assert rule["expr"] == f'max(modelstack_{unsure}_evidence{{namespace="models",endpoint="e",variant="v-a"}}) >= 1'


def test_each_has_a_panel_with_the_line_of_its_alarm_which_a_live_stack_tells(root: Path) -> None:
    written(root)
    settings = load().panels(OBJECTIVE)
    outputs = json.loads(json.dumps({"panels": settings.to_output(), "slo": OBJECTIVE.as_dict()}))
    assert PanelSettings.from_outputs(outputs) == settings
    panels = {spec.title: spec for spec in quality(settings)}
    unsure, cost = (panels[f"{name} of the newest, with its interval"] for name in ("unsure", "cost"))
    assert (unsure.unit, unsure.line, cost.unit, cost.line) == (
        "share of captured answers", 0.4, "mean of captured answers", None
    )  # fmt: skip
    (name, _) = checkout.custom().each
    assert [curve.metric for curve in unsure.curves] == [f"{name}Recent", f"{name}RecentLow", f"{name}RecentHigh"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('answer["probability"]', 'answer["chance"]'), "KeyError: 'chance' (monitoring/metrics.py:7): unsure"),
        (("return 5 *", "return 'a' *"), "ValueError: returned '', expected a finite number or None"),
        (('request["carrier"]', "1 / 0"), "ZeroDivisionError: division by zero (monitoring/metrics.py:12): cost"),
        (("import mean, rate", "import mean, rate\nimport numpy"), "monitoring/metrics.py:3: imports numpy"),
    ],
)  # fmt: skip
def test_one_that_fails_on_the_example_is_refused_before_anything_changes(
    root: Path, change: tuple[str, str], message: str
) -> None:
    written(root, TWO.replace(*change))
    with pytest.raises(pulumi.RunError, match="nothing was changed: monitoring/") as refused:
        checkout.check_metrics()
    assert message in str(refused.value)


def test_further_fields_of_an_answer_come_from_an_example(root: Path) -> None:
    written(root, TWO.replace('answer["probability"]', 'answer["chance"]'))
    example = root / "monitoring" / "example_answer.json"
    example.write_text('{"chance": 0.2}')
    checkout.check_metrics()
    example.write_text("{")
    with pytest.raises(pulumi.RunError, match=r"monitoring/example_answer.json: found no JSON"):
        checkout.check_metrics()


def test_a_metric_with_a_label_needs_the_form_of_the_answers(root: Path) -> None:
    written(root)
    (root / "model" / "answer.json").unlink()
    with pytest.raises(pulumi.RunError, match=r"model/answer.json: not found; a metric with a label needs it"):
        checkout.check_metrics()


@pytest.fixture
def usual(root: Path) -> Path:
    """A project whose model has the usual server, and so may have no `answer.json`."""
    for name in ("answer.json", "serving.py"):
        (root / "model" / name).unlink()
    return root


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 / 0 > answer['prediction']", "ZeroDivisionError: division by zero (monitoring/metrics.py:4): wide"),
        ("return answer['chance'] > 1", "KeyError: 'chance' (monitoring/metrics.py:4): wide"),
        ("return answer['prediction'] == 'late'", ""),
    ],
)
def test_without_a_declared_answer_a_metric_runs_on_an_example_answer_which_must_be_there(
    usual: Path, body: str, message: str
) -> None:
    head = "from modelstack.monitoring.custom import rate\n@rate(better='lower')\ndef wide(request, answer):\n"
    written(usual, f"{head}    {body}\n")
    with pytest.raises(pulumi.RunError) as refused:
        checkout.check_metrics()
    assert "monitoring/example_answer.json: not found; wide cannot be tried" in str(refused.value)
    assert '{"prediction": 12.5}' in str(refused.value) and "answer.json, or" not in str(refused.value)
    example = usual / "monitoring" / "example_answer.json"
    example.write_text('{"prediction": "late"}')
    if message:
        with pytest.raises(pulumi.RunError, match=re.escape(message)):
            checkout.check_metrics()
    else:
        checkout.check_metrics()
    for wrong in ("[1]", '{"late": true}'):
        example.write_text(wrong)
        with pytest.raises(pulumi.RunError, match=f"answer.json: found {re.escape(wrong)}; expected the fields"):
            checkout.check_metrics()


def test_a_metric_with_a_label_runs_on_the_classes_of_the_usual_answer(usual: Path) -> None:
    head, _, tail = TWO.partition("@mean")
    written(usual, head.partition("@rate")[0] + "@mean" + tail.replace('answer["late"]', 'answer["prediction"]'))
    answer = {"prediction": "late", "probability": {"late": 0.7, "on time": 0.3}}
    (usual / "monitoring" / "example_answer.json").write_text(json.dumps(answer))
    checkout.check_metrics()
    written(usual, (usual / "monitoring" / "metrics.py").read_text().replace("return 5", 'return {"late": 1}[label]'))
    with pytest.raises(pulumi.RunError, match="KeyError: 'on time'"):
        checkout.check_metrics()


def test_where_no_example_request_is_the_message_says_how_to_write_it(root: Path) -> None:
    written(root)
    (root / "model" / "example_request.json").unlink()
    with pytest.raises(pulumi.RunError, match=r"'carrier' .* There is no model/example_request.json; `python"):
        checkout.check_metrics()


def test_a_regression_is_tried_with_a_number(root: Path) -> None:
    (root / "model" / "answer.json").write_text('{"kind": "regression", "value": "minutes", "largest_error": 9}')
    written(root, TWO.partition("@mean")[0].replace('0.3 < answer["probability"]', 'answer["minutes"]'))
    checkout.check_metrics()


def test_the_program_stops_at_it_before_its_config_is_read(root: Path) -> None:
    written(root, TWO.replace('answer["probability"]', 'answer["chance"]'))
    with pytest.raises(pulumi.RunError, match=r"nothing was changed: monitoring/ fails:\n.*KeyError: 'chance'"):
        run_program(serving={"instance_count": 0})
