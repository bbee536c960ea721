"""What may a definition refer to, and of which type is that? Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker.pipeline_arguments import type_at
from localcloud.sagemaker.pipeline_form import SCALARS, Broken, items, one_of, require_members, text_of
from localcloud.sagemaker.pipeline_functions import PROPERTY_FILES, Reference, reference
from localcloud.sagemaker.pipeline_parameters import Parameter
from localcloud.sagemaker.step_types import TYPES

VARIABLES = {
    "StartDateTime",
    "CurrentDateTime",
    "PipelineName",
    "PipelineArn",
    "PipelineExecutionId",
    "PipelineExecutionArn",
    "TrainingJobName",
    "ProcessingJobName",
}
"""Of an execution; the last two are of the step that names them."""


@dataclass(frozen=True)
class References:
    """What references may name.

    Attributes:
        parameters: Of the definition.
        steps: As they stand in it, by name.
        model: botocore's, of SageMaker.
    """

    parameters: Mapping[str, Parameter]
    steps: Mapping[str, Any]
    model: Any

    def require(self, found: Reference, where: str) -> None:
        """Refuse a reference to what is not there.

        Raises:
            Broken: It is one.
        """
        if self._known(found) is False:
            raise Broken(f"Invalid property reference {found.text!r} in {where}: {self._instead(found)}")

    def type_of(self, text: str) -> str | None:
        """The type of what a reference stands for."""
        found = self._known(reference(text))
        return found if isinstance(found, str) else None

    def _known(self, found: Reference) -> str | bool:
        """The type of what a reference stands for; True if it is not known, False if there is no such thing."""
        if found.space == "Parameters":
            return self.parameters[found.name].type if found.name in self.parameters else False
        if found.space == "Execution":
            return "String" if found.name in VARIABLES else False
        if found.space == "PipelineExperimentConfig":
            return "String" if found.name in {"ExperimentName", "TrialName"} else False
        step = self.steps.get(found.name)
        return self._property(step, found) if step else False

    def _property(self, step: Any, found: Reference) -> str | bool:
        first = found.path[0] if found.path else None
        kind = TYPES[step["Type"]]
        if first == PROPERTY_FILES:
            return found.path[1] in property_files_of(step)
        if kind.describe:
            shape = self.model.operation_model(kind.describe).output_shape
            return type_at(shape, found.path) or False
        if step["Type"] == "Condition":
            return "String" if found.path == ("Outcome",) else False
        outputs = outputs_of(step)
        return outputs.get(str(found.path[1]), False) if first == "OutputParameters" and len(found.path) == 2 else False

    def _instead(self, found: Reference) -> str:
        if found.space == "Parameters":
            return f"there is no such parameter, only {', '.join(self.parameters) or 'none'}"
        if found.space == "Execution":
            return f"there is no such variable, only {', '.join(sorted(VARIABLES))}"
        if found.space == "Steps" and found.name not in self.steps:
            return f"there is no such step, only {', '.join(self.steps)}"
        return "there is no such property"


def property_files_of(raw: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """A step's property files by name: the output that has the file, and its path there.

    Raises:
        Broken: One is in no output of the step.
    """
    files: dict[str, tuple[str, str]] = {}
    step, outputs = raw["Name"], _processing_outputs(raw["Arguments"])
    for one in items(f"PropertyFiles of step {step}", raw.get("PropertyFiles")):
        members = {"PropertyFileName", "OutputName", "FilePath"}
        require_members(f"A property file of step {step}", one, members, members)
        name, output, path = (
            text_of(f"{member} of a property file of step {step}", one[member])
            for member in ("PropertyFileName", "OutputName", "FilePath")
        )
        if output not in outputs:
            raise Broken(f"Property file {name} of step {step} is in output {output}, which the step has not")
        files[name] = (output, path)
    return files


def _processing_outputs(arguments: Mapping[str, Any]) -> list[Any]:
    """The names of a processing step's outputs, as far as its arguments, which are checked later, have any."""
    config = arguments.get("ProcessingOutputConfig")
    outputs = config.get("Outputs") if isinstance(config, Mapping) else None
    return [one.get("OutputName") for one in outputs if isinstance(one, Mapping)] if isinstance(outputs, list) else []


def outputs_of(raw: Mapping[str, Any]) -> dict[str, str]:
    """Types by name of what a function or a callback gives back.

    Raises:
        Broken: One is none.
    """
    outputs: dict[str, str] = {}
    for one in items(f"OutputParameters of step {raw['Name']}", raw.get("OutputParameters")):
        require_members(f"An output of step {raw['Name']}", one, {"OutputName", "OutputType"}, {"OutputName"})
        name = text_of(f"OutputName in step {raw['Name']}", one["OutputName"])
        outputs[name] = one_of(f"OutputType in step {raw['Name']}", one.get("OutputType", "String"), SCALARS)
    return outputs
