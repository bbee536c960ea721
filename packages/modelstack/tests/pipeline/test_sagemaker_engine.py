from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from modelstack.pipeline.engines.sagemaker import MOST_SECONDS, OUTCOMES, SageMakerSite, definition, groups, parameters
from modelstack.pipeline.steps import PIPELINE, Pipeline, PipelineError, Resources, Step

IMAGE = f"000000000000.dkr.ecr.us-east-1.amazonaws.com/flight-delay-dev-serving@sha256:{'a' * 64}"
BUILDS, RELEASES = (f"arn:aws:iam::000000000000:role/flight-delay-dev-{role}" for role in ("building", "releasing"))
SITE = SageMakerSite(
    image=IMAGE,
    folder="s3://artifacts/pipeline",
    refusals="s3://artifacts/pipeline/refused",
    roles={"build": BUILDS, "check": BUILDS, "release": RELEASES},
)
CREATES = {
    "Training": ("CreateTrainingJob", "TrainingJobName"),
    "Processing": ("CreateProcessingJob", "ProcessingJobName"),
}
MODEL = botocore.session.get_session().get_service_model("sagemaker")


def emitted(pipeline: Pipeline = PIPELINE, **changes: Any) -> dict[str, Any]:
    return json.loads(definition(pipeline, replace(SITE, **changes)))


def every(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        for branch in ("IfSteps", "ElseSteps"):
            yield from every(step["Arguments"].get(branch, []))


def jobs(told: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["Name"]: step for step in every(told["Steps"]) if step["Type"] in CREATES}


def resolved(value: Any) -> Any:
    """Arguments after the definition language's functions were evaluated, as the service does."""
    if isinstance(value, list):
        return [resolved(one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Get"}:
        return "s3://artifacts/x" if re.search("S3|Parameters.(code|champion|settings)$", value["Get"]) else "{}"
    if set(value) == {"Std:Join"}:
        return value["Std:Join"]["On"].join(resolved(value["Std:Join"]["Values"]))
    return {name: resolved(one) for name, one in value.items()}


def wrong(shape: Any, value: Any, at: str) -> Iterator[str]:
    """Constraints that botocore's validator skips: patterns, enumerations, and maximum values."""
    if shape.type_name == "structure":
        for name, one in value.items():
            yield from wrong(shape.members[name], one, f"{at}.{name}")
    elif shape.type_name == "list":
        for one in value:
            yield from wrong(shape.member, one, f"{at}[]")
    elif shape.type_name == "map":
        for one in value.values():
            yield from wrong(shape.value, one, f"{at}{{}}")
    elif shape.type_name == "string":
        known = shape.metadata
        if "pattern" in known and not re.fullmatch(known["pattern"], value):
            yield f"{at}: {value!r} is not {known['pattern']}"
        if "enum" in known and value not in known["enum"]:
            yield f"{at}: {value!r}"
        if len(value) > known.get("max", len(value)):
            yield f"{at}: {len(value)} characters"
    elif shape.type_name in {"integer", "long"} and value > shape.metadata.get("max", value):
        yield f"{at}: {value}"


@pytest.mark.parametrize("changes", [{}, {"max_seconds": 600, "instance_types": {"build": "ml.c7i.4xlarge"}}])
def test_the_arguments_of_each_job_are_what_the_service_takes(changes: dict[str, Any]) -> None:
    found = jobs(emitted(**changes))
    assert list(found) == ["build", "check", "release"]
    for name, step in found.items():
        operation, named = CREATES[step["Type"]]
        shape, asked = MODEL.operation_model(operation).input_shape, {**resolved(step["Arguments"]), named: "x"}
        assert ParamValidator().validate(asked, shape).generate_report() == ""
        assert list(wrong(shape, asked, name)) == []
        assert re.fullmatch(MODEL.shape_for("PipelineExecutionStep").members["StepName"].metadata["pattern"], name)
        cluster = step["Arguments"].get("ResourceConfig") or step["Arguments"]["ProcessingResources"]["ClusterConfig"]
        if name == "build" and changes:
            assert cluster["InstanceType"] == "ml.c7i.4xlarge"
        assert step["Arguments"]["StoppingCondition"]["MaxRuntimeInSeconds"] <= changes.get(
            "max_seconds", MOST_SECONDS[step["Type"]]
        )


def test_the_same_declaration_gives_the_same_bytes_and_every_value_is_a_text() -> None:
    assert definition(PIPELINE, SITE) == definition(Pipeline(PIPELINE.inputs, PIPELINE.steps), replace(SITE))
    told = emitted()
    assert {one["Type"] for one in told["Parameters"]} == {"String"}
    assert told["MlflowConfig"] is None
    assert len(definition(PIPELINE, SITE)) < MODEL.shape_for("PipelineDefinition").metadata["max"]


def test_each_job_gets_every_text_and_every_outcome_that_its_steps_take() -> None:
    told = emitted()
    given = {one["Name"] for one in told["Parameters"]}
    assert given == set(parameters(PIPELINE))
    for group in groups(PIPELINE):
        arguments = jobs(told)[group.name]["Arguments"]
        texts = {text.name for step in group.steps for text in PIPELINE.texts_of(step)}
        taken = {
            other.group for step in group.steps for name in PIPELINE.steps_of(step) for other in [PIPELINE.step(name)]
        }
        if group.kind == "Training":
            channels = {one["ChannelName"] for one in arguments["InputDataConfig"]}
            assert set(arguments["HyperParameters"]) == texts <= given
        else:
            channels = {one["InputName"] for one in arguments["ProcessingInputs"]}
            assert "settings" in channels
        assert taken - {group.name} <= channels
        assert {"code", "champion"} & {name for step in group.steps for name in step.takes} <= channels


def test_what_changes_nothing_outside_is_cached_and_known_by_the_recipe() -> None:
    found = jobs(emitted())
    assert [name for name, step in found.items() if step.get("CacheConfig", {}).get("Enabled")] == ["build", "check"]
    keyed = found["build"]["Arguments"]
    assert keyed["HyperParameters"]["recipe"] == {"Get": "Parameters.recipe"}
    assert "Execution." not in json.dumps(keyed), "what is of one execution alone would make the cache miss"
    assert "Environment" not in keyed


def test_only_the_job_that_registers_has_its_role_and_it_waits_for_the_verdict() -> None:
    told = emitted()
    assert {name: step["Arguments"]["RoleArn"] for name, step in jobs(told).items()} == SITE.roles
    condition = told["Steps"][-1]
    assert [step["Name"] for step in condition["Arguments"]["IfSteps"]] == ["release"]
    (refused,) = condition["Arguments"]["ElseSteps"]
    assert (refused["Type"], "gate/verdict.json" in json.dumps(refused)) == ("Fail", True)
    (asked,) = condition["Arguments"]["Conditions"]
    files = {one["PropertyFileName"]: one for one in jobs(told)["check"]["PropertyFiles"]}
    assert asked["LeftValue"]["Std:JsonGet"]["PropertyFile"] == {"Get": "Steps.check.PropertyFiles.gate"}
    assert files["gate"] == {"PropertyFileName": "gate", "OutputName": OUTCOMES, "FilePath": "gate/verdict.json"}


def more(*steps: Step) -> Pipeline:
    return Pipeline(PIPELINE.inputs, (*PIPELINE.steps, *steps))


def test_a_step_that_is_added_runs_in_the_job_of_its_group_which_is_as_large_as_it_asks_for() -> None:
    large = Resources(8, 64, "ml.r7i.2xlarge", 100)
    card = Step("card", "team.card:main", "draw a card", takes=("train",), group="check", resources=large, timeout=60)
    before, after = (jobs(told)["check"] for told in (emitted(), emitted(more(card))))
    assert after["Description"] == "compare, gate, card"
    assert after["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceType"] == "ml.r7i.2xlarge"
    longest = [one["Arguments"]["StoppingCondition"]["MaxRuntimeInSeconds"] for one in (before, after)]
    assert longest[1] == longest[0] + 60


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            Step("late", "a:b", "", takes=("compare",), group="build"),
            "group build: takes from group check, which comes later",
        ),
        (
            Step("free", "a:b", "", takes=("seal",), group="release"),
            "group release: its steps wait for different verdicts (None, gate); expected one for all",
        ),
    ],
)
def test_groups_that_no_chain_of_jobs_could_run_are_told(step: Step, said: str) -> None:
    with pytest.raises(PipelineError, match=re.escape(said)):
        definition(more(step), SITE)
