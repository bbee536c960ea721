"""What does a step do that makes a model, or registers one?"""

from __future__ import annotations

import uuid

from localcloud.sagemaker.models import MODEL
from localcloud.sagemaker.step_jobs import tagged
from localcloud.sagemaker.step_run import Outcome, StepFailed, StepRun
from localcloud.sagemaker.store import Document


async def make(step: StepRun, arguments: Document) -> Outcome:
    """Make a model; one that was made before the server was killed is taken.

    Raises:
        StepFailed: SageMaker refuses.
    """
    name = step.written["JobName"]
    if step.works.store.get(MODEL, name) is None:
        await step.call("CreateModel", {**arguments, **tagged(step, arguments), "ModelName": name})
    described = await step.call("DescribeModel", {"ModelName": name})
    return Outcome(described, {"Model": {"Arn": described["ModelArn"]}})


async def register(step: StepRun, arguments: Document) -> Outcome:
    """Register a package; SageMaker makes the group that is not there.

    Raises:
        StepFailed: SageMaker refuses.
    """
    # The same package after a kill, another one after a retry.
    token = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{step.arn} {step.step.name} {step.written['AttemptCount']}"))
    request = {"ClientToken": token, **arguments}
    try:
        made = await step.call("CreateModelPackage", request)
    except StepFailed as failed:
        group = arguments.get("ModelPackageGroupName", "")
        if not group or group.startswith("arn:") or "ModelPackageGroup " not in failed.reason:
            raise
        await step.call("CreateModelPackageGroup", {"ModelPackageGroupName": group})
        made = await step.call("CreateModelPackage", request)
    described = await step.call("DescribeModelPackage", {"ModelPackageName": made["ModelPackageArn"]})
    return Outcome(described, {"RegisterModel": {"Arn": made["ModelPackageArn"]}})
