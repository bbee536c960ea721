"""What does a step do that calls a function, or asks a queue and waits for the answer?"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Mapping
from typing import Any

from botocore.config import Config

from localcloud.sagemaker.pipeline_parameters import finite, whole
from localcloud.sagemaker.step_run import Outcome, StepFailed, StepRun, StepStopped
from localcloud.sagemaker.store import Document

_LONGEST_VALUE, _LONGEST_TARGET = 1024, 256  # of an output, and of the function or queue, that a listing shows
_TOKEN = string.ascii_letters + string.digits
_FUNCTION = Config(read_timeout=660, retries={"max_attempts": 0})  # a function runs for 10 minutes at most


async def function(step: StepRun, arguments: Document) -> Outcome:
    """Call a function, and take what it gives back. One that a killed server had called is called again.

    Raises:
        StepFailed: It cannot be called, it fails, or its outputs are not those of the definition.
    """
    arn = await _target(step)
    await step.note(StepStatus="Executing", Metadata={"Lambda": {"Arn": arn}})

    def call(role: Any) -> Any:
        answer = role.client("lambda", config=_FUNCTION).invoke(FunctionName=arn, Payload=json.dumps(arguments))
        return answer.get("FunctionError"), answer["Payload"].read()

    error, payload = await step.invoke("lambda:InvokeFunction", call)
    shown = payload[:500].decode(errors="replace")
    if error:
        raise StepFailed(f"ClientError: Lambda function {arn} failed ({error}): {shown}", "", _lambda(arn, []))
    try:
        given = json.loads(payload or b"null")
    except ValueError:
        given = None
    if step.step.outputs and not isinstance(given, dict):
        raise StepFailed(
            f"ClientError: Lambda function {arn} gave back no JSON object: {shown}", metadata=_lambda(arn, [])
        )
    found = _outputs(step, given or {}, _lambda(arn, []))
    return Outcome({"OutputParameters": found}, _lambda(arn, _shown(found)))


async def callback(step: StepRun, arguments: Document) -> Outcome:
    """Send a message with a token to a queue, and wait for the answer to it, also when the execution is to stop.

    Raises:
        StepFailed: The message cannot be sent, or the answer tells of a failure.
        StepStopped: The execution is to stop, and the answer has come.
    """
    queue = await _target(step)
    told = step.written.get("Metadata", {}).get("Callback", {})
    if not told:
        token = "".join(secrets.choice(_TOKEN) for _ in range(10))
        told = {"CallbackToken": token, "SqsQueueUrl": queue}
        await step.note(Metadata={"Callback": told})
    if step.written["StepStatus"] == "Starting":
        await _send(step, told, arguments, "Executing")
        await step.note(StepStatus="Executing")
    answer = await step.answered_or_stopped()
    if answer is None:
        if step.written["StepStatus"] != "Stopping":
            await _send(step, told, arguments, "Stopping")
            await step.note(StepStatus="Stopping")
        await step.answered()
        raise StepStopped
    if "FailureReason" in answer:
        reason = answer["FailureReason"] or "The callback was answered with a failure."
        raise StepFailed(f"ClientError: {reason}", metadata={"Callback": told})
    given = {one["Name"]: one["Value"] for one in answer["OutputParameters"]}
    found = _outputs(step, given, {"Callback": told})
    return Outcome({"OutputParameters": found}, {"Callback": {**told, "OutputParameters": _shown(found)}})


async def _target(step: StepRun) -> str:
    target = await step.resolved(step.step.target)
    if not isinstance(target, str) or len(target) > _LONGEST_TARGET:
        raise StepFailed(f"ClientError: {target!r} is no function or queue of at most {_LONGEST_TARGET} characters")
    return target


async def _send(step: StepRun, told: Document, arguments: Document, status: str) -> None:
    message = {
        "token": told["CallbackToken"],
        "pipelineExecutionArn": step.arn,
        "arguments": arguments,
        "status": status,
    }
    sent = {"QueueUrl": told["SqsQueueUrl"], "MessageBody": json.dumps(message)}
    await step.invoke("sqs:SendMessage", lambda role: role.client("sqs").send_message(**sent))


def _outputs(step: StepRun, given: Mapping[str, Any], metadata: Document) -> Document:
    """The outputs of the definition, each of its type.

    Raises:
        StepFailed: One is missing, or of another type.
    """
    found: Document = {}
    for name, kind in step.step.outputs.items():
        if given.get(name) is None:
            had = ", ".join(given) or "none"
            raise StepFailed(
                f"ClientError: Output {name} of step {step.step.name} is missing, given: {had}", "", metadata
            )
        try:
            found[name] = _typed(kind, given[name])
        except ValueError:
            raise StepFailed(
                f"ClientError: Output {name} of step {step.step.name} is {given[name]!r}, not of type {kind}",
                metadata=metadata,
            ) from None
        if len(_text(found[name])) > _LONGEST_VALUE:
            raise StepFailed(
                f"ClientError: Output {name} of step {step.step.name} has more than {_LONGEST_VALUE} characters",
                metadata=metadata,
            )
    return found


def _typed(kind: str, value: Any) -> Any:
    if kind == "String":
        return value if isinstance(value, str) else json.dumps(value)
    text = json.dumps(value) if not isinstance(value, str) else value
    if kind == "Boolean":
        if text.lower() not in {"true", "false"}:
            raise ValueError(text)
        return text.lower() == "true"
    return whole(text) if kind == "Integer" else finite(text)


def _shown(outputs: Document) -> list[Document]:
    return [{"Name": name, "Value": _text(value)} for name, value in outputs.items()]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _lambda(arn: str, outputs: list[Document]) -> Document:
    return {"Lambda": {"Arn": arn, "OutputParameters": outputs}}
