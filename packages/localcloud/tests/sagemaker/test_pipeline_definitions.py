"""What is a pipeline's definition, and what do its functions, conditions, policies and caches come to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.sagemaker import pipeline_conditions, step_cache, step_retries
from localcloud.sagemaker.errors import ApiError
from localcloud.sagemaker.pipeline_definition import Definition, parse
from localcloud.sagemaker.pipeline_functions import FunctionFailed, Reference, inside, resolve
from localcloud.sagemaker.service_models import service_model
from localcloud.sagemaker.step_types import TYPES

from .asked import (
    callback_step,
    condition_step,
    fail_step,
    parameter,
    process_step,
    register_step,
    train_step,
)


@pytest.fixture(scope="module")
def model() -> Any:
    names = {operation for kind in TYPES.values() for operation in (kind.create, kind.describe) if operation}
    return service_model("sagemaker", tuple(sorted(names)))


def definition(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": list(steps), **more}


def equals(left: Any, right: Any = 1) -> dict[str, Any]:
    return {"Type": "Equals", "LeftValue": left, "RightValue": right}


def test_a_definition_says_what_each_step_needs_and_when_it_runs(model):
    file = {"PropertyFileName": "M", "OutputName": "out", "FilePath": "m.json"}
    found = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.P.PropertyFiles.M"}, "Path": "$['a'].b[0]"}}
    register = register_step("R", {"Get": "Steps.T.ModelArtifacts.S3ModelArtifacts"})
    gate = condition_step("C", [equals(found)], yes=[register], no=[fail_step("F", "x")], after=["Q"])
    policy = {"ExceptionType": ["Step.THROTTLING"], "IntervalSeconds": 2, "BackoffRate": 3.0, "ExpireAfterMin": 5}
    cache = {"Enabled": True, "ExpireAfter": "PT1H"}
    steps = [
        gate,
        train_step("T", cache=cache, retries=[policy]),
        process_step("P", files=[file], cache={"Enabled": False}),
        process_step("Q"),
    ]
    experiment = {"ExperimentName": {"Get": "Execution.PipelineName"}, "TrialName": "t"}
    text = json.dumps(definition(*steps, PipelineExperimentConfig=experiment, MlflowConfig=None))
    read: Definition = parse(text, model)
    assert {name: set(step.needs) for name, step in read.steps.items()} == {
        **{"C": {"P", "Q"}, "R": {"T", "C"}, "F": {"C"}},
        **{"T": set(), "P": set(), "Q": set()},
    }
    assert (read.steps["R"].branch, read.steps["F"].branch, read.steps["T"].branch) == (("C", True), ("C", False), None)
    assert (read.steps["T"].cache_seconds, read.steps["P"].cache_seconds) == (3600, None)
    (read_policy,) = read.steps["T"].retries
    assert [read_policy.pause(retries, 1) for retries in (0, 1, 2)] == [2, 6, 18]
    assert read_policy.pause(0, 301) is None
    assert read.experiment == experiment


def broken(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return definition(*steps, **more)


def with_arguments(step: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**step, "Arguments": {**step["Arguments"], **changes}}


T, P = train_step("T"), process_step("P")
FILE = {"PropertyFileName": "M", "OutputName": "none", "FilePath": "m.json"}
METERED = process_step("P", files=[{**FILE, "OutputName": "out"}])
NUMBER = parameter("N", "Integer", 1)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (broken(T, Version="2019-01-01"), "Version is '2019-01-01'; it is '2020-12-01'"),
        (broken(T, Versions=1), "The definition has an unknown member 'Versions'"),
        (broken(), "A pipeline has from 1 to 50 steps, not 0"),
        (broken(T, MlflowConfig={}), "The local SageMaker does not support MlflowConfig"),
        (broken({**T, "Type": "Train"}), "Unknown type 'Train' of step T; there are AutoML, Callback"),
        (broken({**T, "Type": "Tuning"}), "The local SageMaker does not support type Tuning of step T; it supports"),
        (broken({**T, "Name": "a b"}), "Step name 'a b' is not of 1 to 64 letters, digits, hyphens and underscores"),
        (broken({**T, "Timeout": 1}), "Step T of type Training has an unknown member 'Timeout'"),
        (broken({**T, "PropertyFiles": []}), "Step T of type Training has an unknown member 'PropertyFiles'"),
        (broken({"Name": "T", "Type": "Training"}), "Step T has no Arguments"),
        (broken(T, condition_step("C", [equals(1)], yes=[T])), "Duplicate step name T"),
        (
            broken(condition_step("C", [equals(1)], yes=[condition_step("D", [equals(1)])])),
            "Condition step D is in a branch of C; conditions cannot be nested",
        ),
        (
            broken(process_step("A", after=["B"]), process_step("B", after=["C"]), process_step("C", after=["A"])),
            "Cycle detected in pipeline step graph: A -> B -> C -> A",
        ),
        (broken(process_step("A", after=["B"])), "Step A depends on 'B', and there is no such step, only A"),
        (
            broken(T, process_step("A", after=[{"Step": "T", "Trigger": "Failed"}])),
            "does not support {'Step': 'T', 'Trigger': 'Failed'} in DependsOn of step A",
        ),
        (broken(fail_step("F", "x"), process_step("A", after=["F"])), "A can not depends on F"),
        (broken(fail_step("F", {"Get": "Parameters.X"})), "Invalid property reference 'Parameters.X' in step F"),
        (broken(fail_step("F", {"Get": "Execution.Name"})), "there is no such variable, only CurrentDateTime, Pip"),
        (broken(fail_step("F", {"Get": "Steps.X.Y"})), "there is no such step, only F"),
        (broken(T, fail_step("F", {"Get": "Steps.T.Y"})), "Invalid property reference 'Steps.T.Y' in step F: there is"),
        (broken(fail_step("F", {"Get": "Foo.X"})), "Invalid property reference 'Foo.X': expected Parameters.<name>"),
        (broken(fail_step("F", {"Std:Join": {"On": 1, "Values": []}})), "Std:Join takes a string On and a list of"),
        (broken(fail_step("F", {"Std:Upper": "x"})), "Unknown function Std:Upper; there are Get, Std:Join and"),
        (
            broken(P, fail_step("F", {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.P.Outputs"}, "Path": "a"}})),
            "Std:JsonGet takes a PropertyFile such as Steps.A.PropertyFiles.B",
        ),
        (
            broken(
                P, fail_step("F", {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.P.PropertyFiles.M"}, "Path": "a"}})
            ),
            "Invalid property reference 'Steps.P.PropertyFiles.M' in step F: there is no such property",
        ),
        (broken({**P, "PropertyFiles": [FILE]}), "Property file M of step P is in output none, which the step has not"),
        (broken(condition_step("C", [{"Type": "Near"}])), "Step C: unknown condition type 'Near'; there are Equals"),
        (broken(condition_step("C", [{"Type": "Not", "LeftValue": 1}])), "a condition of type Not has Condition, not"),
        (broken(condition_step("C", [{"Type": "Or", "Conditions": []}])), "of type Or has a list with at least one"),
        (broken(condition_step("C", [])), "Step C: it has no condition"),
        (
            broken(with_arguments(T, HyperParameters={"n": {"Get": "Parameters.N"}}), Parameters=[NUMBER]),
            "HyperParameters.n: Cannot assign property reference [Parameters.N] to argument of type [String]",
        ),
        (
            broken(T, with_arguments(P, RoleArn={"Get": "Steps.T.ResourceConfig.InstanceCount"})),
            "Cannot assign property reference [Steps.T.ResourceConfig.InstanceCount] to argument of type [String]",
        ),
        (broken(with_arguments(P, Image="x")), "Step P: unknown member Image; there are AppSpecification"),
        (broken(with_arguments(P, AppSpecification={})), "Step P: AppSpecification.ImageUri is missing"),
        (broken({**P, "Arguments": {}}), "Step P: ProcessingResources is missing; AppSpecification is missing"),
        (
            broken(with_arguments(P, StoppingCondition={"MaxRuntimeInSeconds": 0})),
            "Model Validation failed: StoppingCondition.MaxRuntimeInSeconds: Value '0' failed to satisfy constraint",
        ),
        (broken({**T, "CacheConfig": {"Enabled": True}}), "Step T: ExpireAfter is None; it is an ISO 8601 duration"),
        (broken({**T, "CacheConfig": {"Enabled": True, "ExpireAfter": "P"}}), "Step T: ExpireAfter is 'P'"),
        (broken(train_step("T", retries=[{"ExceptionType": ["Any"]}])), "ExceptionType of a retry policy is ['Any']"),
        (
            broken(train_step("T", retries=[{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 21}])),
            "MaxAttempts of a retry policy is 21; it is an integer from 0 to 20",
        ),
        (
            broken(
                train_step("T", retries=[{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 1, "ExpireAfterMin": 1}])
            ),
            "either MaxAttempts or ExpireAfterMin, not both",
        ),
        (broken({**callback_step("A", {}), "OutputParameters": [{"OutputName": "x", "OutputType": "Map"}]}), "'Map'"),
        (broken(T, Parameters=[parameter("a", "Text")]), "Type of parameter a is 'Text'; it is one of String, Integer"),
        (broken(T, Parameters=[parameter("a", "Integer", True)]), "DefaultValue of parameter a is True; it is of type"),
        (broken(T, Parameters=[NUMBER, NUMBER]), "Parameter name 'N' is taken"),
        (broken(T, Parameters=[parameter("a" * 257, "String")]), "is not of 1 to 256 letters, digits"),
        (broken(T, Parameters=[{**NUMBER, "EnumValues": [1]}]), "EnumValues of parameter N are texts, of a parameter"),
        (broken(condition_step("C", equals(1))), "Conditions of step C is a list, not {'Type': 'Equals'"),
        (
            broken(METERED, fail_step("F", {"Get": "Steps.P.PropertyFiles.M"})),
            "Std:JsonGet reads the property file 'Steps.P.PropertyFiles.M'; Get does not",
        ),
        (
            broken(T, PipelineExperimentConfig={"TrialName": {"Get": "Steps.T.TrainingJobName"}}),
            "PipelineExperimentConfig refers to Steps.T.TrainingJobName; it can to Parameters and to Execution",
        ),
    ],
)
def test_what_is_no_definition_is_refused_by_name(model, document, why):
    with pytest.raises(ApiError) as refused:
        parse(json.dumps(document), model)
    assert refused.value.code == "ValidationException"
    assert refused.value.message.startswith("Unable to parse pipeline definition. ")
    assert why in refused.value.message


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each piece of a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield (*way, key)
        yield from places(item, (*way, key))


@pytest.mark.parametrize("piece", [None, 1, "", [[]], {"x": 1}, {"Get": "Steps.P.PropertyFiles"}], ids=json.dumps)
def test_a_definition_with_a_wrong_piece_is_read_or_refused_and_never_a_fault_of_the_service(model, piece):
    policy = {"ExceptionType": ["Step.THROTTLING"], "IntervalSeconds": 2}
    train = train_step("T", cache={"Enabled": True, "ExpireAfter": "PT1H"}, retries=[policy])
    gate = condition_step("C", [equals(1)], yes=[fail_step("F", "x")], after=["P"])
    steps = (train, METERED, gate, callback_step("A", {"a": {"Get": "Parameters.N"}}, Rows="Integer"))
    experiment = {"ExperimentName": {"Get": "Execution.PipelineName"}}
    text = json.dumps(definition(*steps, Parameters=[NUMBER], PipelineExperimentConfig=experiment))
    refused = 0
    for *way, last in places(json.loads(text)):
        document = whole = json.loads(text)
        for key in way:
            document = document[key]
        document[last] = piece
        try:
            parse(json.dumps(whole), model)
        except ApiError:
            refused += 1
    assert refused > 40


class Known:
    """A few values."""

    def __init__(self, **values: Any) -> None:
        self._values = values

    def get(self, reference: Reference) -> Any:
        return inside(self._values[reference.name], reference.path, reference.text)

    def address_of(self, property_file: Reference) -> str:
        return f"s3://b/{property_file.path[1]}"

    def read(self, url: str) -> Any:
        return self._values[url]


@pytest.mark.parametrize(
    ("value", "comes_to"),
    [
        ({"Get": "Steps.T.A.B"}, 1),
        ({"Get": "Steps.T.Outputs['two'].S3Uri"}, "s3://2"),
        ({"Get": "Steps.T.Outputs[0].S3Uri"}, "s3://1"),
        ({"Get": "Steps.T.Map['a.b']"}, True),
        (
            {"Std:Join": {"On": "/", "Values": ["x", {"Get": "Steps.T.A.B"}, {"Get": "Steps.T.Map['a.b']"}, 0.5]}},
            "x/1/true/0.5",
        ),
        ({"Std:Join": {"Values": ["a", {"Std:Join": {"On": "-", "Values": ["b", "c"]}}]}}, "ab-c"),
        ({"Std:JsonGet": {"PropertyFile": {"Get": "Steps.T.PropertyFiles.M"}, "Path": "a[1]['b c'].d"}}, 2),
        ({"Std:JsonGet": {"S3Uri": {"Std:Join": {"Values": ["s3://b/", "M"]}}, "Path": "$.a[0]"}}, None),
        ([{"Get": "Steps.T.A.B"}, {"x": {"Get": "Steps.T.A.B"}, "none": None}], [1, {"x": 1}]),
    ],
)
def test_a_function_comes_to_what_it_stands_for(value, comes_to):
    outputs = [{"OutputName": "one", "S3Uri": "s3://1"}, {"OutputName": "two", "S3Uri": "s3://2"}]
    step = {"A": {"B": 1}, "Outputs": outputs, "Map": {"a.b": True}}
    assert resolve(value, Known(T=step, **{"s3://b/M": {"a": [None, {"b c": {"d": 2}}]}})) == comes_to


@pytest.mark.parametrize("path", ["A.C", "Outputs['three']", "Outputs[2]", "A.B.C"])
def test_a_reference_to_nothing_fails(path):
    with pytest.raises(FunctionFailed, match=r"Steps\.T\..* has no value: there is no "):
        resolve({"Get": f"Steps.T.{path}"}, Known(T={"A": {"B": 1}, "Outputs": [{"OutputName": "one"}, {}]}))


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (equals(1, 1.0), True),
        (equals("a", "b"), False),
        (equals(True, True), True),
        *(
            ({"Type": kind, "LeftValue": 1, "RightValue": 2}, kind.startswith("Less"))
            for kind in (
                *("GreaterThan", "GreaterThanOrEqualTo"),
                *("LessThan", "LessThanOrEqualTo"),
            )
        ),
        ({"Type": "GreaterThanOrEqualTo", "LeftValue": 2, "RightValue": 2}, True),
        ({"Type": "LessThan", "LeftValue": 2, "RightValue": 2}, False),
        ({"Type": "In", "QueryValue": "b", "Values": ["a", "b"]}, True),
        ({"Type": "In", "QueryValue": "c", "Values": ["a", "b"]}, False),
        ({"Type": "Not", "Condition": equals(1, 2)}, True),
        ({"Type": "Or", "Conditions": [equals(1, 2), equals(1, 1)]}, True),
        ({"Type": "Or", "Conditions": [equals(1, 2)]}, False),
    ],
)
def test_a_condition_holds_or_does_not(condition, holds):
    assert not list(pipeline_conditions.problems(condition))
    assert pipeline_conditions.holds(condition) is holds


@pytest.mark.parametrize(("left", "right"), [("1", 1), (True, 1), (None, None), ([1], [1])])
def test_values_of_different_types_are_not_compared(left, right):
    with pytest.raises(FunctionFailed, match="cannot compare"):
        pipeline_conditions.holds(equals(left, right))


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("P30D", 2_592_000), ("p30d", 2_592_000), ("PT1H", 3600), ("P4DT12H", 388_800), ("T16m", 960), ("1w", 604_800)],
)
def test_a_cache_lasts_as_its_duration_says(duration, seconds):
    assert step_cache.seconds(duration) == seconds


def test_a_run_is_known_by_the_arguments_that_count():
    training = TYPES["Training"].cache_key
    asked = {"HyperParameters": {"a": "1"}, "OutputDataConfig": {"S3OutputPath": "s3://1"}}
    key = step_cache.key("Training", training, asked, {})
    assert key == step_cache.key("Training", training, {**asked, "OutputDataConfig": {"S3OutputPath": "s3://2"}}, {})
    assert key != step_cache.key("Training", training, {**asked, "HyperParameters": {"a": "2"}}, {})
    assert key != step_cache.key("Training", training, {**asked, "Environment": {"A": "1"}}, {})


def test_faults_of_the_service_are_tried_again_without_a_policy_and_others_with_one_only():
    fault = step_retries.of_refusal("InternalFailure", 500)
    assert step_retries.policy_for(fault, ()) is not None
    assert step_retries.policy_for(step_retries.of_refusal("ThrottlingException", 400), ()) is not None
    limit = step_retries.of_refusal("ResourceLimitExceeded", 400)
    assert step_retries.policy_for(limit, ()) is None
    own = step_retries.read({"ExceptionType": ["SageMaker.RESOURCE_LIMIT"]})
    assert step_retries.policy_for(limit, (own,)) is own
    assert [own.pause(retries, 0) for retries in range(6)] == [1, 2, 4, 8, 16, None]
    assert step_retries.of_refusal("ValidationException", 400) == ""
    assert step_retries.of_failure("InternalServerError: We encountered") == "SageMaker.JOB_INTERNAL_ERROR"
    assert step_retries.of_failure("AlgorithmError: no rows") == ""
