"""What does the definition of a step say? Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.sagemaker import pipeline_arguments, pipeline_conditions, step_cache, step_retries
from localcloud.sagemaker.pipeline_form import Broken, items, require_members
from localcloud.sagemaker.pipeline_functions import PROPERTY_FILES, references
from localcloud.sagemaker.pipeline_references import References, outputs_of, property_files_of
from localcloud.sagemaker.step_retries import RetryPolicy
from localcloud.sagemaker.step_types import TYPES, StepType

BRANCHES = {"IfSteps": True, "ElseSteps": False}
"""Members of a condition's arguments, and the outcome with which they run."""

Branch = tuple[str, bool]
"""A condition step, and the outcome with which the branch runs."""

_STEP = {"Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description"}
_SHOWN = {"DisplayName": 256, "Description": 3072}
"""Members that a listing shows, and how long they may be."""


@dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
        name: Its name.
        type: A key of `TYPES`.
        arguments: As they stand in the definition.
        needs: Names of the steps that must have succeeded before it.
        branch: The branch that it is in; None for none.
        cache_seconds: How old an earlier run of it may be that is taken for this one; None for no age.
        retries: Its policies.
        property_files: By name, the output that has the file, and its path there.
        outputs: Types by name of what a function or a callback gives back.
        shown: What a listing shows of the definition: `StepDisplayName`, `StepDescription`.
        target: The function or queue that it calls, with functions; None for others.
    """

    name: str
    type: str
    arguments: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    branch: Branch | None = None
    cache_seconds: float | None = None
    retries: tuple[RetryPolicy, ...] = ()
    property_files: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    target: Any = None

    @property
    def kind(self) -> StepType:
        """What is true of all steps of its type."""
        return TYPES[self.type]


def read(raw: Mapping[str, Any], branch: Branch | None, check: References) -> Step:
    """Read a step.

    Args:
        raw: As it stands in the definition; its name and type are known to be good.
        branch: The branch that it is in.
        check: Knows what it may refer to.

    Raises:
        Broken: It is none.
        FunctionInvalid: One of its functions is none.
    """
    name, kind = raw["Name"], TYPES[raw["Type"]]
    known = _STEP | kind.members
    known |= {"CacheConfig"} if kind.cache_key is not None else set()
    known |= {"RetryPolicies"} if kind.retries else set()
    needed = {"Arguments", *(kind.members - {PROPERTY_FILES})}
    require_members(f"Step {name} of type {raw['Type']}", raw, known, needed)
    own = {member: value for member, value in raw["Arguments"].items() if member not in BRANCHES}
    target = raw.get("FunctionArn") or raw.get("SqsQueueUrl")
    named = [*references(own), *references(target)]
    for found in named:
        check.require(found, f"step {name}")
    _check_arguments(raw, own, check)
    explicit = _depends_on(raw, check)
    implied = [found.name for found in named if found.space == "Steps"]
    needs = dict.fromkeys([*explicit, *implied, *([branch[0]] if branch else [])])
    for needed in needs:
        if check.steps[needed]["Type"] == "Fail":
            raise Broken(f"{name} can not depends on {needed}")
    try:
        policies = items(f"RetryPolicies of step {name}", raw.get("RetryPolicies"))
        retries = tuple(step_retries.read(policy) for policy in policies)
        cache = _cache(raw.get("CacheConfig"))
    except ValueError as error:
        raise Broken(f"Step {name}: {error}") from error
    shown = {f"Step{member}": raw[member] for member in _SHOWN if raw.get(member)}
    for member, most in _SHOWN.items():
        text = raw.get(member) or ""
        if not isinstance(text, str) or len(text) > most or "\n" in text:
            raise Broken(f"{member} of step {name} is a line of at most {most} characters, not {text!r:.200}")
    return Step(
        *(name, raw["Type"], own, tuple(needs), branch),
        cache_seconds=cache,
        retries=retries,
        property_files=property_files_of(raw),
        outputs=outputs_of(raw),
        shown=shown,
        target=target,
    )


def _check_arguments(raw: Mapping[str, Any], own: Mapping[str, Any], check: References) -> None:
    name, kind = raw["Name"], TYPES[raw["Type"]]
    if kind.create:
        shape = check.model.operation_model(kind.create).input_shape
        problems = list(pipeline_arguments.problems(shape, own, check.type_of, without=kind.named))
    elif raw["Type"] == "Condition":
        require_members(f"Arguments of step {name}", raw["Arguments"], {"Conditions", *BRANCHES}, {"Conditions"})
        conditions = items(f"Conditions of step {name}", own["Conditions"])
        problems = [problem for one in conditions for problem in pipeline_conditions.problems(one)]
        problems += [] if conditions else ["it has no condition"]
    else:
        problems = []
        if raw["Type"] == "Fail":
            require_members(f"Arguments of step {name}", own, {"ErrorMessage"}, {"ErrorMessage"})
    if problems:
        raise Broken(f"Step {name}: {'; '.join(problems)}")


def _depends_on(raw: Mapping[str, Any], check: References) -> list[str]:
    found = items(f"DependsOn of step {raw['Name']}", raw.get("DependsOn"))
    for one in found:
        if isinstance(one, Mapping):
            raise Broken(f"The local SageMaker does not support {one!r} in DependsOn of step {raw['Name']}")
        if one not in list(check.steps):
            known = ", ".join(check.steps)
            raise Broken(f"Step {raw['Name']} depends on {one!r}, and there is no such step, only {known}")
    return found


def _cache(config: Any) -> float | None:
    if config is None:
        return None
    require_members("CacheConfig", config, {"Enabled", "ExpireAfter"}, {"Enabled"})
    if not isinstance(config["Enabled"], bool):
        raise ValueError(f"Enabled of CacheConfig is {config['Enabled']!r}; it is true or false")
    if not config["Enabled"]:
        return None
    return step_cache.seconds(config.get("ExpireAfter"))
