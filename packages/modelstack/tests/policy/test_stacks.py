"""The project's own stacks keep to every rule, but for what the file of exemptions says."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from demos.promotion.__main__ import STACKS as PROMOTED
from modelstack.policy.exemptions import Judgement, read
from modelstack.policy.rule import Declared, ResourceRule
from modelstack.policy.rules import RULES
from tests.policy.fixtures import findings
from tests.program.on_cluster import OLD as SERVES
from tests.program.on_cluster import idle as idle_on_cluster
from tests.program.on_cluster import run_on_cluster
from tests.program.recorded import IMAGE, OLD, Answers, World, idle
from tests.program.recorded import run_program as run
from tests.program.test_program import SOURCE

ROOT = Path(__file__).resolve().parents[4]
DAY = date(2026, 11, 28)


def declared(stack: str, world: World) -> list[Declared]:
    written = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{stack}.yaml").read_text())["config"]
    tags = written.get("aws:defaultTags", {}).get("tags", {})
    return [
        Declared(item.type, item.name, f"urn:pulumi:{stack}::modelstack::{item.type}::{item.name}", item.inputs, tags)
        for item in world.resources
    ]


def judged(stack: str, resources: list[Declared]) -> tuple[list[str], list[str]]:
    """The texts that stop an update, and those that are only reported."""
    exemptions = read((ROOT / "policy" / "exemptions.yaml").read_text(), [rule.name for rule in RULES], DAY)
    judgement, stops, tells = Judgement(exemptions, DAY), list[str](), list[str]()
    for rule in RULES:
        told = judgement.told(rule, findings(rule, resources))
        (tells if rule.advisory else stops).extend(f"{rule.name}: {text}" for text, _ in told)
    return stops, [*tells, *judgement.used()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "stack", ["local", "local-pipeline", "local-staging", "local-year", *PROMOTED, "dev", "staging", "prod"]
)
def test_a_stack_keeps_to_every_rule(stack: str) -> None:
    world = run(stack, answers=Answers(source=SOURCE), serving={"image": IMAGE})
    stops, tells = judged(stack, declared(stack, world))
    assert stops == []
    assert {line.partition(" is not asked of ")[0] for line in tells if " is not asked of " in line} == {"own-key"}


def test_every_rule_meets_something_in_a_stack() -> None:
    """A rule about a type, or a property, that the program calls otherwise would find nothing, whatever is declared."""
    world, cluster = run("prod", answers=Answers(source=SOURCE)), run_on_cluster()
    types = {item.type for item in (*world.resources, *cluster.resources)}
    for rule in RULES:
        assert not isinstance(rule, ResourceRule) or any(map(rule.is_about, types)), rule.name


@pytest.mark.parametrize(
    ("stack", "given"),
    [
        ("local", {"state": idle(OLD)}),
        ("dev", {"retraining": {"enabled": True, "image": IMAGE}, "promotion": {"to": ["111111111111"]}}),
        ("dev", {"mlflow": {"managed": "app"}}),
        ("dev", {"mlflow": {"managed": "tracking_server"}}),
    ],
    ids=["on trial", "retrains and gives to other accounts", "MLflow app", "MLflow server"],
)
def test_a_stack_with_more_than_its_file_says_keeps_to_every_rule(stack: str, given: dict[str, Any]) -> None:
    assert judged(stack, declared(stack, run(stack, serving={"image": IMAGE}, **given)))[0] == []


GROWS, AB = {"instance_count": 2, "max_instance_count": 8}, {"strategy": {"kind": "ab", "weight": 50}}
BUCKET = {"name": "packages", "endpoint": "http://minio.storage:9000", "secret": "bucket-keys"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {"state": idle_on_cluster(SERVES), "serving": GROWS, "rollout": AB},
        {"promotion": {"to": ["system:serviceaccounts:ci"]}, "kubernetes": {"pull_secret": "login", "bucket": BUCKET}},
        {"kubernetes": {"rules": {"kind": "prometheus_rule"}, "alerts": {"ticket": {"webhook_secret": "tickets"}}}},
    ],
    ids=["on trial with sticky keys and an autoscaler", "gives to others, reads a bucket", "by an operator"],
)
def test_a_stack_on_a_cluster_keeps_to_every_rule(given: dict[str, Any]) -> None:
    world = run_on_cluster(**given)
    assert world.stopped is None
    assert judged("local-kubernetes", declared("local-kubernetes", world)) == ([], [])


def test_variants_without_an_alarm_of_their_own_are_found_in_a_real_stack() -> None:
    """The alarms on the objective read all variants together, and are on none of them."""
    resources = declared("local", run(state=idle(OLD)))
    stops, _ = judged("local", [item for item in resources if not item.name.endswith("-5xx")])
    assert len(stops) == 2, stops
    assert all(said.startswith("watched: ") and "no alarm is on the failures of variant" in said for said in stops)
