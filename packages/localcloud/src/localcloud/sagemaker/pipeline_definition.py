"""Is a text the definition of a pipeline, and what does it say?

Source: "Pipeline definition JSON schema", version 2020-12-01, and what the SageMaker SDK writes. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker import pipeline_parameters, pipeline_steps
from localcloud.sagemaker.errors import ApiError, invalid
from localcloud.sagemaker.pipeline_form import Broken, items, name_of, require_members
from localcloud.sagemaker.pipeline_functions import FunctionInvalid, references
from localcloud.sagemaker.pipeline_parameters import Parameter
from localcloud.sagemaker.pipeline_references import References
from localcloud.sagemaker.pipeline_steps import BRANCHES, Branch, Step
from localcloud.sagemaker.step_types import ELSEWHERE, TYPES

VERSION = "2020-12-01"
_TOP = {"Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps"}
_MOST_STEPS, _LONGEST_NAME = 50, 64


@dataclass(frozen=True)
class Definition:
    """A pipeline's definition.

    Attributes:
        parameters: By name.
        steps: By name, in the order of the text.
        experiment: Its PipelineExperimentConfig, with functions; empty if it has none.
    """

    parameters: Mapping[str, Parameter]
    steps: Mapping[str, Step]
    experiment: Mapping[str, Any]


def parse(text: str, model: Any) -> Definition:
    """Read a definition.

    Args:
        text: JSON.
        model: botocore's model of SageMaker, with the operations that steps call.

    Raises:
        ApiError: It is none; the text says where and why.
    """
    try:
        return _definition(json.loads(text), model)
    except json.JSONDecodeError as error:
        raise _refusal(f"It is not JSON: {error}") from error
    except (Broken, FunctionInvalid) as error:
        raise _refusal(str(error)) from error


def _refusal(why: str) -> ApiError:
    return invalid(f"Unable to parse pipeline definition. {why}")


def _definition(document: Any, model: Any) -> Definition:
    require_members("The definition", document, _TOP, {"Version", "Steps"})
    if document["Version"] != VERSION:
        raise Broken(f"Version is {document['Version']!r}; it is {VERSION!r}")
    if document.get("MlflowConfig") is not None:
        raise Broken("The local SageMaker does not support MlflowConfig")
    parameters = pipeline_parameters.read(document.get("Parameters"))
    raw = list(_flattened(document["Steps"]))
    if not 1 <= len(raw) <= _MOST_STEPS:
        raise Broken(f"A pipeline has from 1 to {_MOST_STEPS} steps, not {len(raw)}")
    names = [step["Name"] for step, _ in raw]
    for name in names:
        if names.count(name) > 1:
            raise Broken(f"Duplicate step name {name}: a name is unique, also across the branches of conditions")
    check = References(parameters, {step["Name"]: step for step, _ in raw}, model)
    steps = {step["Name"]: pipeline_steps.read(step, branch, check) for step, branch in raw}
    _refuse_circles(steps)
    return Definition(parameters, steps, _experiment(document.get("PipelineExperimentConfig"), check))


def _experiment(config: Any, check: References) -> Mapping[str, Any]:
    """A PipelineExperimentConfig, which is resolved before any step runs."""
    if config is None:
        return {}
    require_members("PipelineExperimentConfig", config, {"ExperimentName", "TrialName"}, set())
    for found in references(config):
        if found.space not in {"Parameters", "Execution"}:
            raise Broken(f"PipelineExperimentConfig refers to {found.text}; it can to Parameters and to Execution")
        check.require(found, "PipelineExperimentConfig")
    return config


def _flattened(steps: Any, branch: Branch | None = None) -> Iterator[tuple[Any, Branch | None]]:
    """Every step as it stands in the definition, and the branch that it is in."""
    for step in items("Steps", steps):
        name = name_of("Step name", step.get("Name") if isinstance(step, Mapping) else None, _LONGEST_NAME)
        _require_type(name, step.get("Type"))
        if not isinstance(step.get("Arguments"), Mapping):
            raise Broken(f"Step {name} has no Arguments")
        yield step, branch
        if step["Type"] == "Condition":
            if branch is not None:
                raise Broken(f"Condition step {name} is in a branch of {branch[0]}; conditions cannot be nested")
            for member, outcome in BRANCHES.items():
                yield from _flattened(step["Arguments"].get(member), (name, outcome))


def _require_type(name: str, kind: Any) -> None:
    if kind in list(ELSEWHERE):
        known = ", ".join(TYPES)
        raise Broken(f"The local SageMaker does not support type {kind} of step {name}; it supports {known}")
    if kind not in list(TYPES):
        raise Broken(f"Unknown type {kind!r:.200} of step {name}; there are {', '.join(sorted({*TYPES, *ELSEWHERE}))}")


def _refuse_circles(steps: Mapping[str, Step]) -> None:
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            raise Broken(f"Cycle detected in pipeline step graph: {' -> '.join((*way[way.index(name) :], name))}")
        if name not in done:
            for needed in steps[name].needs:
                visit(needed, (*way, name))
            done.add(name)

    for name in steps:
        visit(name, ())
