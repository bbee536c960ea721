"""The stack's config: every wrong value is told with its field, itself and what is allowed, before anything changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from infra.config import Settings, check_target

ROOT = Path(__file__).resolve().parents[2]
STACKS = ("local", "local-staging", "dev", "staging", "prod")
CLOUD = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}


class Source:
    """Config as Pulumi gives it: JSON by key."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    def get_object(self, key: str) -> Any:
        if isinstance(self.values.get(key), str):
            raise pulumi.ConfigTypeError(key, self.values[key], "object")
        return self.values.get(key)

    def get(self, key: str) -> str | None:
        return self.values.get(key)


def load(stack: str = "local", **values: Any) -> Settings:
    return Settings.load(Source(**values), stack, [f"modelstack:{name}" for name in values])


def refusal(stack: str = "local", **values: Any) -> str:
    with pytest.raises(pulumi.RunError) as caught:
        load(stack, **values)
    return str(caught.value)


STEP = {"weight": 10, "bake_seconds": 1}
WRONG = [
    ({"model": {"name": "Flight Delay"}}, ["model.name = 'Flight Delay'", "lower-case letters, digits and hyphens"]),
    ({"model": {"name": "a" * 31}}, ["model.name", "at most 30"]),
    ({"model": {"gates": {"auc": {}}}}, ["model.gates.auc", "give min, max, or both"]),
    ({"model": {"gates": {"auc": {"min": 0.9, "max": 0.1}}}}, ["gates.auc", "min 0.9 is above max 0.1"]),
    ({"model": {"gates": {"auc": {"least": 0.9}}}}, ["gates.auc.least", "allowed are min, max"]),
    ({"serving": {"instance_type": "m5.large"}}, ["serving.instance_type = 'm5.large'", "such as ml.m5.large"]),
    ({"serving": {"instance_count": 0}}, ["serving.instance_count = 0", "1 to 100"]),
    ({"serving": {"instance_count": "2"}}, ["serving.instance_count = '2'", "1 to 100"]),
    ({"serving": {"image": "just-a-name"}}, ["serving.image = 'just-a-name'", "repository@sha256:<digest>"]),
    ({"serving": {"capture_percent": 101}}, ["serving.capture_percent = 101", "0 to 100"]),
    ({"serving": "ml.m5.large"}, ["serving = 'ml.m5.large'", "a section with instance_type"]),
    ({"rollout": {"steps": []}}, ["rollout.steps = []", "ascending"]),
    ({"rollout": {"steps": [{**STEP, "weight": 100}]}}, ["rollout.steps[0].weight = 100", "1 to 99"]),
    ({"rollout": {"steps": [{**STEP, "weight": 0}]}}, ["rollout.steps[0].weight = 0", "1 to 99"]),
    ({"rollout": {"steps": [STEP, STEP]}}, ["rollout", "[10, 10]", "ascend"]),
    ({"rollout": {"steps": [{**STEP, "weight": 50}, STEP]}}, ["rollout", "[50, 10]", "ascend"]),
    ({"rollout": {"steps": [{"weight": 5}]}}, ["rollout.steps[0].bake_seconds", "is missing", "0 to 86400 seconds"]),
    ({"rollout": {"steps": [{**STEP, "bake_seconds": -1}]}}, ["steps[0].bake_seconds = -1", "0 to 86400"]),
    ({"rollout": {"steps": [{**STEP, "bake_seconds": 60}], "max_minutes": 1}}, ["60 s", "max_minutes 1"]),
    ({"rollout": {"min_requests": 0}}, ["rollout.min_requests = 0"]),
    ({"rollout": {"alpha": 0}}, ["rollout.alpha = 0", "up to 0.5"]),
    ({"rollout": {"alpha": 0.6}}, ["rollout.alpha = 0.6", "up to 0.5"]),
    ({"rollout": {"error_margin": 1}}, ["rollout.error_margin = 1", "up to 0.5"]),
    ({"rollout": {"wait": "yes"}}, ["rollout.wait = 'yes'", "waits for the verdict"]),
    ({"rollout": {"wiat": True}}, ["rollout.wiat", "no such field", "did you mean 'wait'"]),
    ({"monitoring": {"period_seconds": 45}}, ["period_seconds is 45", "10, 20, 30 and multiples of 60"]),
    ({"monitoring": {"max_5xx_rate": 5}}, ["monitoring.max_5xx_rate = 5", "up to 1"]),
    ({"monitoring": {"max_p99_ms": 0}}, ["monitoring.max_p99_ms = 0", "60000 ms"]),
    ({"monitoring": {"drift_minutes": 0}}, ["monitoring.drift_minutes = 0", "1 to 1440"]),
    ({"monitoring": {"max_drift_psi": True}}, ["monitoring.max_drift_psi = True"]),
    ({"promotion": {"form": "local"}}, ["promotion.form", "allowed are from"]),
    ({"promotion": {"from": ""}}, ["promotion.from = ''"]),
    ({"promotion": {"from": "local"}}, ["promotion.from = 'local'", "cannot be its own source"]),
    ({"promotion": {"from": "dev"}}, ["promotion.from = 'dev'", "cannot promote to one another"]),
    ({"registry": {"retain": "no"}}, ["registry.retain = 'no'"]),
    ({"moniotring": {}}, ["modelstack:moniotring", "no such field", "did you mean 'monitoring'"]),
]


@pytest.mark.parametrize(("values", "told"), WRONG, ids=[str(values)[:60] for values, _ in WRONG])
def test_wrong_value_is_told_with_field_value_and_what_is_allowed(values: dict[str, Any], told: list[str]) -> None:
    message = refusal(**values)
    assert "nothing was changed" in message
    for part in told:
        assert part in message


def test_all_wrong_fields_are_told_at_once() -> None:
    message = refusal(rollout={"alpha": 0, "min_requests": 0}, monitoring={"max_p99_ms": 0}, modle={})
    assert message.count("\n  - ") == 4


@pytest.mark.parametrize("stack", STACKS)
def test_committed_stack_files_are_valid(stack: str) -> None:
    content = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    values = {key.partition(":")[2]: value for key, value in content.items() if key.startswith("modelstack:")}
    assert load(stack, **values).model.name == "flight-delay"
    assert content["aws:region"] == "us-east-1"


@pytest.mark.parametrize("stack", ["local", "local-staging"])
def test_working_on_a_local_stack_leaves_its_committed_file_alone(stack: str) -> None:
    content = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
    assert content["encryptionsalt"].startswith("v1:"), "without a salt, the first `pulumi up` writes one into the file"


def test_empty_config_takes_the_defaults() -> None:
    settings = load()
    assert [step.weight for step in settings.rollout.steps] == [10, 50]
    assert settings.promotion.source is None


def test_high_resolution_periods_are_for_local_stacks_only() -> None:
    assert "multiples of 60 outside local stacks" in refusal("dev", monitoring={"period_seconds": 10})
    assert load("local", monitoring={"period_seconds": 10}).monitoring.period_seconds == 10


def test_names_that_aws_would_refuse_are_told_before_they_are_made() -> None:
    assert "41 characters; allowed are 40" in refusal("local" + "x" * 10, model={"name": "a" * 25})
    assert "lower-case letters, digits and hyphens" in refusal("local_Staging")


@pytest.mark.parametrize("endpoint", ["", "https://sagemaker.us-east-1.amazonaws.com", "http://10.0.0.1:4566"])
def test_local_stack_never_points_outside(endpoint: str) -> None:
    with pytest.raises(pulumi.RunError, match="must point at the local cloud") as caught:
        check_target("local-staging", {"AWS_ENDPOINT_URL": endpoint} if endpoint else {})
    assert 'eval "$(make -s env)"' in str(caught.value)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4566", "http://localhost:4566"])
def test_other_stacks_never_point_at_the_local_cloud(endpoint: str) -> None:
    with pytest.raises(pulumi.RunError, match="unset AWS_ENDPOINT_URL"):
        check_target("prod", {"AWS_ENDPOINT_URL": endpoint})


def test_stack_and_target_that_belong_together_pass() -> None:
    check_target("local", CLOUD)
    check_target("local", {"AWS_ENDPOINT_URL": "http://[::1]:4566"})
    check_target("prod", {})
