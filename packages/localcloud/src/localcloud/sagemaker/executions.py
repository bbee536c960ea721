"""What do clients ask of a pipeline's executions: start, stop, retry, show, and tell that a callback was answered?"""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable, Sequence

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import conflict, invalid
from localcloud.sagemaker.execution_runs import ExecutionRuns
from localcloud.sagemaker.execution_values import ExecutionValues
from localcloud.sagemaker.listing import Listing, with_usual_times
from localcloud.sagemaker.pipeline_definition import Definition
from localcloud.sagemaker.pipeline_functions import FunctionFailed, resolve
from localcloud.sagemaker.pipeline_parameters import given_value
from localcloud.sagemaker.pipelines import EXECUTION, PIPELINE, STEP, Pipelines, not_there
from localcloud.sagemaker.store import Document, Store, Transaction
from localcloud.sagemaker.wire import Operation, Request

_ID_LETTERS = string.ascii_lowercase + string.digits
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_LONGEST_NAME = 120
_CHANGEABLE = ("PipelineExecutionDisplayName", "PipelineExecutionDescription", "ParallelismConfiguration")
_GIVEN = (*_CHANGEABLE, "PipelineParameters", "SelectiveExecutionConfig")
"""Members of an execution that a request may set: while it is there, and when it is started."""

_SHOWN = (
    "PipelineArn",
    "PipelineExecutionArn",
    "PipelineExecutionDisplayName",
    "PipelineExecutionStatus",
    "PipelineExecutionDescription",
    "PipelineExperimentConfig",
    "FailureReason",
    "CreationTime",
    "LastModifiedTime",
    "ParallelismConfiguration",
    "SelectiveExecutionConfig",
    "PipelineVersionId",
)
_SHOWN_OF_STEPS = (
    "StepName",
    "StepDisplayName",
    "StepDescription",
    "StartTime",
    "EndTime",
    "StepStatus",
    "CacheHitResult",
    "FailureReason",
    "Metadata",
    "AttemptCount",
    "SelectiveExecutionResult",
)


class Executions:
    """The control plane of executions; what follows from a request is the runs'.

    Differs from AWS: `CreatedBy` is empty because callers are not told apart here, and an execution is not sent to
    MLflow.
    """

    def __init__(self, store: Store, account: Account, pipelines: Pipelines, runs: ExecutionRuns) -> None:
        self._store = store
        self._account = account
        self._pipelines = pipelines
        self._runs = runs

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "StartPipelineExecution": self.start,
            "StopPipelineExecution": self.stop,
            "RetryPipelineExecution": self.retry,
            "UpdatePipelineExecution": self.update,
            "DescribePipelineExecution": self.describe,
            "DescribePipelineDefinitionForExecution": self.describe_definition,
            "ListPipelineExecutions": self.list,
            "ListPipelineExecutionSteps": self.list_steps,
            "ListPipelineParametersForExecution": self.list_parameters,
            "SendPipelineExecutionStepSuccess": self.succeed_step,
            "SendPipelineExecutionStepFailure": self.fail_step,
        }

    async def start(self, request: Request) -> Document:
        """Begin an execution. The same token again answers the same."""
        async with self._store.change() as change:
            pipeline = self._pipelines.get(request["PipelineName"])
            name, token = pipeline["PipelineName"], request["ClientRequestToken"]
            for other in self._of(name):
                if other["Tokens"]["Start"] == token:
                    return {"PipelineExecutionArn": other["PipelineExecutionArn"]}
            version = self._pipelines.version(pipeline, request.get("PipelineVersionId"))
            definition = self._pipelines.parsed(version["PipelineDefinition"])
            now = self._account.now()
            key = f"{name}/execution/{''.join(secrets.choice(_ID_LETTERS) for _ in range(12))}"
            execution = {
                "PipelineName": name,
                "PipelineArn": pipeline["PipelineArn"],
                "PipelineExecutionArn": self._account.arn(PIPELINE, key),
                "PipelineExecutionDisplayName": f"execution-{round(now * 1000)}",
                "PipelineExecutionStatus": "Executing",
                "PipelineVersionId": version["PipelineVersionId"],
                "RoleArn": pipeline["RoleArn"],
                "CreationTime": now,
                "LastModifiedTime": now,
                **{member: request[member] for member in _GIVEN if member in request},
                "Values": _values(definition, request.get("PipelineParameters", [])),
                "Tokens": {"Start": token},
                "Attempts": {},
            }
            if "ParallelismConfiguration" not in execution and "ParallelismConfiguration" in pipeline:
                execution["ParallelismConfiguration"] = pipeline["ParallelismConfiguration"]
            if definition.experiment:
                execution["PipelineExperimentConfig"] = _experiment(execution, definition)
            for step in self._taken_over(execution, definition):
                change.put(STEP, f"{key}/{step['StepName']}", step)
            change.put(EXECUTION, key, execution)
            self._pipelines.executed(change, pipeline, execution)
        await self._runs.changed(key, "")
        return {"PipelineExecutionArn": execution["PipelineExecutionArn"]}

    async def stop(self, request: Request) -> Document:
        """Begin to stop an execution. The same token again answers the same."""

        def stop(_: Transaction, key: str, execution: Document) -> None:
            if execution["PipelineExecutionStatus"] != "Executing":
                raise self._conflict(execution, "stopped")
            execution["PipelineExecutionStatus"] = "Stopping"

        return await self._change(request, "Stop", stop)

    async def retry(self, request: Request) -> Document:
        """Begin an execution again that failed or was stopped: with the steps that have not succeeded."""

        def retry(change: Transaction, key: str, execution: Document) -> None:
            if execution["PipelineExecutionStatus"] not in {"Failed", "Stopped"}:
                raise self._conflict(execution, "retried")
            for step in self._steps(execution):
                if step["StepStatus"] != "Succeeded":
                    execution["Attempts"][step["StepName"]] = step["AttemptCount"]
                    change.delete(STEP, f"{key}/{step['StepName']}")
            execution.pop("FailureReason", None)
            execution.pop("EndTime", None)
            execution["PipelineExecutionStatus"] = "Executing"

        return await self._change(request, "Retry", retry)

    async def update(self, request: Request) -> Document:
        """Give an execution another name, description or parallelism."""
        return await self._change(request, None, lambda *_: None)

    async def describe(self, request: Request) -> Document:
        """How an execution is now."""
        _, execution = self._get(request["PipelineExecutionArn"])
        shown = {member: execution[member] for member in _SHOWN if member in execution}
        return {**shown, "CreatedBy": {}, "LastModifiedBy": {}}

    async def describe_definition(self, request: Request) -> Document:
        """The definition that is executed."""
        _, execution = self._get(request["PipelineExecutionArn"])
        version = self._pipelines.version(
            self._pipelines.get(execution["PipelineName"]), execution["PipelineVersionId"]
        )
        return {member: version[member] for member in ("PipelineDefinition", "CreationTime")}

    async def list(self, request: Request) -> Document:
        """Executions of a pipeline, the newest first unless asked otherwise."""
        pipeline = self._pipelines.get(request["PipelineName"])
        listing = Listing("PipelineExecutionSummaries", "PipelineExecutionArn", _summary)
        return listing.page(self._of(pipeline["PipelineName"]), with_usual_times(request))

    async def list_steps(self, request: Request) -> Document:
        """The steps of an execution that have begun, the last first unless asked otherwise."""
        if "PipelineExecutionArn" not in request:
            raise invalid("PipelineExecutionArn is missing; the local SageMaker needs it.")
        _, execution = self._get(request["PipelineExecutionArn"])
        listing = Listing("PipelineExecutionSteps", "StepName", _step_summary)
        found = [{**step, "CreationTime": step["StartTime"]} for step in self._steps(execution)]
        return listing.page(found, request)

    async def list_parameters(self, request: Request) -> Document:
        """All parameters of an execution, by name, with the values that it has, given or not."""
        _, execution = self._get(request["PipelineExecutionArn"])
        found = [{"Name": name, "Value": value, "CreationTime": 0} for name, value in execution["Values"].items()]
        listing = Listing("PipelineParameters", "Name", _parameter, ascending=True)
        return listing.page(found, {**request, "SortBy": "Name"})

    async def succeed_step(self, request: Request) -> Document:
        """Tell that what a callback waits for is done."""
        return await self._answer(request, {"OutputParameters": request.get("OutputParameters", [])})

    async def fail_step(self, request: Request) -> Document:
        """Tell that what a callback waits for has failed."""
        return await self._answer(request, {"FailureReason": request.get("FailureReason", "")})

    async def _answer(self, request: Request, answer: Document) -> Document:
        token, again = request["CallbackToken"], request.get("ClientRequestToken")
        async with self._store.change() as change:
            found = [one for one in self._store.all(STEP) if _callback(one).get("CallbackToken") == token]
            if not found:
                raise not_there("Pipeline execution step with callback token", token)
            arn, name = found[0]["PipelineExecutionArn"], found[0]["StepName"]
            key = f"{self._account.name(PIPELINE, arn)}/{name}"
            step = self._store.get(STEP, key) or {}
            given = step.get("Answer")
            if given and again and given.get("Token") == again:
                return {"PipelineExecutionArn": arn}
            if given or step.get("StepStatus") not in {"Starting", "Executing", "Stopping"}:
                raise conflict(f"Step {name} of {arn} does not wait for an answer to {token} any more.")
            change.put(STEP, key, {**step, "Answer": {**answer, "Token": again}})
        await self._runs.answered(self._account.name(PIPELINE, arn))
        return {"PipelineExecutionArn": arn}

    async def _change(
        self, request: Request, what: str | None, apply: Callable[[Transaction, str, Document], None]
    ) -> Document:
        """Change an execution, its changeable members included; if it is called something, once for each token."""
        async with self._store.change() as change:
            key, execution = self._get(request["PipelineExecutionArn"])
            answer = {"PipelineExecutionArn": execution["PipelineExecutionArn"]}
            token = request.get("ClientRequestToken")
            if what and execution["Tokens"].get(what) == token:
                return answer
            before = execution["PipelineExecutionStatus"]
            apply(change, key, execution)
            execution["LastModifiedTime"] = self._account.now()
            if what:
                execution["Tokens"][what] = token
            execution |= {member: request[member] for member in _CHANGEABLE if member in request}
            change.put(EXECUTION, key, execution)
        await self._runs.changed(key, before)
        return answer

    def _taken_over(self, execution: Document, definition: Definition) -> Sequence[Document]:
        """The steps of another execution that one of selected steps builds upon."""
        config = execution.get("SelectiveExecutionConfig")
        if config is None:
            return []
        selected = [one["StepName"] for one in config["SelectedSteps"]]
        for name in selected:
            if name not in definition.steps:
                raise invalid(f"Selected step {name} does not exist; there are {', '.join(definition.steps)}.")
        needed = {one for name in selected for one in definition.steps[name].needs} - set(selected)
        source = config.get("SourcePipelineExecutionArn")
        if needed and source is None:
            raise invalid(
                f"Invalid SourcePipelineExecutionArn: null. The selected steps [{', '.join(selected)}] have "
                f"dependencies on [{', '.join(sorted(needed))}]"
            )
        if source is None:
            return []
        _, other = self._get(source)
        if other["PipelineName"] != execution["PipelineName"]:
            raise invalid(f"SourcePipelineExecutionArn {source} is not an execution of {execution['PipelineArn']}.")
        there = {step["StepName"]: step for step in self._steps(other) if step["StepStatus"] == "Succeeded"}
        if lacking := sorted(needed - there.keys()):
            raise invalid(f"Steps [{', '.join(lacking)}] have not succeeded in {source}; the selected steps need them.")
        result = {"SelectiveExecutionResult": {"SourcePipelineExecutionArn": source}}
        arns = {"PipelineExecutionArn": execution["PipelineExecutionArn"]}
        return [{**there[name], **arns, **result} for name in sorted(needed)]

    def _get(self, arn: str) -> tuple[str, Document]:
        key = self._account.name(PIPELINE, arn)
        execution = self._store.get(EXECUTION, key)
        if execution is None:
            raise not_there("Pipeline execution", arn)
        return key, execution

    def _of(self, pipeline: str) -> Sequence[Document]:
        return [one for one in self._store.all(EXECUTION) if one["PipelineName"] == pipeline]

    def _steps(self, execution: Document) -> Sequence[Document]:
        arn = execution["PipelineExecutionArn"]
        return [step for step in self._store.all(STEP) if step["PipelineExecutionArn"] == arn]

    def _conflict(self, execution: Document, verb: str) -> Exception:
        arn, status = execution["PipelineExecutionArn"], execution["PipelineExecutionStatus"]
        return conflict(f"Pipeline execution {arn} cannot be {verb} in status {status}.")


def _values(definition: Definition, given: Sequence[Document]) -> Document:
    """The value of each parameter.

    Raises:
        ApiError: One is unknown, of another type, or missing.
    """
    texts = {one["Name"]: one["Value"] for one in given}
    for name in texts:
        if name not in definition.parameters:
            known = ", ".join(definition.parameters) or "none"
            raise invalid(f"Parameter {name} is not one of the pipeline's: {known}.")
    values = {}
    for name, parameter in definition.parameters.items():
        value = given_value(parameter, texts[name]) if name in texts else parameter.default
        if value is None:
            raise invalid(f"Parameter {name} has no DefaultValue, and no value was given.")
        values[name] = value
    return values


def _experiment(execution: Document, definition: Definition) -> Document:
    """The PipelineExperimentConfig of an execution, whose names are such as experiments and trials have.

    Raises:
        ApiError: They are not, or a function comes to nothing.
    """
    try:
        config = resolve(definition.experiment, ExecutionValues(execution, definition, {}, execution["CreationTime"]))
    except FunctionFailed as error:
        raise invalid(f"PipelineExperimentConfig: {error}") from error
    for member, name in config.items():
        if not isinstance(name, str) or len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            raise invalid(f"{member} of PipelineExperimentConfig is {name!r}; it has letters, digits and hyphens.")
    return config


def _callback(step: Document) -> Document:
    return step.get("Metadata", {}).get("Callback", {})


def _summary(execution: Document) -> Document:
    found = {
        "PipelineExecutionArn": execution["PipelineExecutionArn"],
        "StartTime": execution["CreationTime"],
        "PipelineExecutionStatus": execution["PipelineExecutionStatus"],
        "PipelineExecutionDisplayName": execution["PipelineExecutionDisplayName"],
        "PipelineExecutionDescription": execution.get("PipelineExecutionDescription"),
        "PipelineExecutionFailureReason": execution.get("FailureReason"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _step_summary(step: Document) -> Document:
    return {member: step[member] for member in _SHOWN_OF_STEPS if member in step}


def _parameter(found: Document) -> Document:
    value = found["Value"]
    return {"Name": found["Name"], "Value": value if isinstance(value, str) else json.dumps(value)}
