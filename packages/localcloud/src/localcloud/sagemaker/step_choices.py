"""What does a step do that chooses a branch, or ends its execution?"""

from __future__ import annotations

from localcloud.sagemaker.pipeline_conditions import holds
from localcloud.sagemaker.pipeline_functions import FunctionFailed
from localcloud.sagemaker.step_run import Outcome, StepFailed, StepRun
from localcloud.sagemaker.store import Document

_LONGEST_MESSAGE = 3072


async def decide(step: StepRun, arguments: Document) -> Outcome:
    """Find out whether all conditions hold.

    Raises:
        StepFailed: Two values cannot be compared.
    """
    del step
    try:
        outcome = all(holds(one) for one in arguments["Conditions"])
    except FunctionFailed as error:
        raise StepFailed(f"ClientError: {error}") from error
    return Outcome({"Outcome": str(outcome).lower()}, {"Condition": {"Outcome": str(outcome)}})


async def fail(step: StepRun, arguments: Document) -> Outcome:
    """Fail with the message of the definition.

    Raises:
        StepFailed: Always.
    """
    del step
    message = str(arguments["ErrorMessage"])[:_LONGEST_MESSAGE]
    raise StepFailed(message, metadata={"Fail": {"ErrorMessage": message}})
