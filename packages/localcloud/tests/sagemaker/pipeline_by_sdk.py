"""Makes, runs and reads a pipeline by AWS's SDK.

`python pipeline_by_sdk.py JSON` takes `name`, `role`, `bucket`, `folder` (of the bucket), `image`, `program` (of the
processing step) and `env` (its variables), and prints `done`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from botocore.exceptions import WaiterError
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import (
    OutputDataConfig,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
    StoppingCondition,
)
from sagemaker.core.training.configs import Compute
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession, _ModelStepArguments
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import SageMakerJobExceptionTypeEnum, SageMakerJobStepRetryPolicy
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep
from sagemaker.train.model_trainer import ModelTrainer

Asked = dict[str, Any]
DAY = CacheConfig(enable_caching=True, expire_after="P1D")


def made(asked: Asked, session: Any) -> Any:
    """A pipeline that trains, evaluates, and registers what is good enough."""
    image = ParameterString("Image", default_value=asked["image"])
    least = ParameterFloat("MinAuc", default_value=0.6)
    place = [f"s3://{asked['bucket']}/{asked['folder']}", ExecutionVariables.PIPELINE_EXECUTION_ID]
    trainer = trained(asked, session, image, Join(on="/", values=[*place, "trained"]))
    once_more = SageMakerJobStepRetryPolicy(
        exception_types=[SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
        interval_seconds=1,
        max_attempts=2,
    )
    train = TrainingStep("Train", step_args=trainer.train(), cache_config=DAY, retry_policies=[once_more])
    model = train.properties.ModelArtifacts.S3ModelArtifacts
    metrics = PropertyFile(name="Metrics", output_name="out", path="metrics.json")
    arguments = evaluated(asked, session, image, model, Join(on="/", values=[*place, "evaluated"]))
    evaluate = ProcessingStep("Evaluate", step_args=arguments, property_files=[metrics], cache_config=DAY)
    found = JsonGet(step_name="Evaluate", property_file=metrics, json_path="summary.auc")
    gate = ConditionStep(
        "Gate",
        conditions=[ConditionGreaterThanOrEqualTo(left=found, right=least)],
        if_steps=[ModelStep("Register", step_args=package(trainer, asked["name"], image, model))],
        else_steps=[FailStep("Refuse", error_message=Join(on=" ", values=["auc below", least]))],
    )
    steps = [train, evaluate, gate]
    return Pipeline(asked["name"], parameters=[image, least], steps=steps, sagemaker_session=session)


def trained(asked: Asked, session: Any, image: Any, where: Any) -> Any:
    return ModelTrainer(
        training_image=image,
        role=asked["role"],
        sagemaker_session=session,
        base_job_name="train",
        hyperparameters={"exit": "0"},
        compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=30),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
        output_data_config=OutputDataConfig(s3_output_path=where),
    )


def evaluated(asked: Asked, session: Any, image: Any, model: Any, where: Any) -> Any:
    processor = Processor(
        role=asked["role"],
        image_uri=image,
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=session,
        entrypoint=["python", asked["program"]],
        env=asked["env"],
        max_runtime_in_seconds=600,
    )
    source = ProcessingS3Input(
        s3_uri=model,
        local_path="/opt/ml/processing/model",
        s3_data_type="S3Prefix",
        s3_input_mode="File",
    )
    target = ProcessingS3Output(s3_uri=where, local_path="/opt/ml/processing/out", s3_upload_mode="EndOfJob")
    return processor.run(
        inputs=[ProcessingInput(input_name="model", s3_input=source)],
        outputs=[ProcessingOutput(output_name="out", s3_output=target)],
    )


def package(trainer: Any, group: str, image: Any, model: Any) -> Any:
    arguments = _ModelStepArguments(trainer)
    arguments.caller_name = "create_model_package_from_containers"
    arguments.create_model_package_request = {
        "ModelPackageGroupName": group,
        "InferenceSpecification": {
            "Containers": [{"Image": image, "ModelDataUrl": model}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        "CustomerMetadataProperties": {"execution": ExecutionVariables.PIPELINE_EXECUTION_ARN},
    }
    return arguments


def it_is_created_and_updated(pipeline: Any, role: str) -> None:
    arn = pipeline.create(role, description="first")["PipelineArn"]
    updated = pipeline.upsert(role, description="second", tags=[{"Key": "team", "Value": "flights"}])
    assert updated["PipelineArn"] == arn
    described = pipeline.describe()
    assert (described["PipelineDescription"], described["PipelineStatus"]) == ("second", "Active")
    assert json.loads(described["PipelineDefinition"]) == json.loads(pipeline.definition())


def the_model_is_registered(pipeline: Any, asked: Asked, session: Any) -> Any:
    good = pipeline.start()
    good.wait(delay=1)
    steps = {step["StepName"]: step for step in good.list_steps()}
    assert {one: step["StepStatus"] for one, step in steps.items()} == dict.fromkeys(
        ["Train", "Evaluate", "Gate", "Register"], "Succeeded"
    ), steps
    assert good.describe()["PipelineExperimentConfig"]["ExperimentName"] == asked["name"]
    arn = steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    registered = session.sagemaker_client.describe_model_package(ModelPackageName=arn)
    assert registered["CustomerMetadataProperties"] == {"execution": good.arn}
    job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    identity = good.arn.rpartition("/")[2]
    (container,) = registered["InferenceSpecification"]["Containers"]
    folder = f"s3://{asked['bucket']}/{asked['folder']}/{identity}/trained"
    assert container["ModelDataUrl"] == f"{folder}/{job}/output/model.tar.gz"
    return good


def the_same_model_is_refused_where_more_is_asked(pipeline: Any, asked: Asked, good: Any) -> None:
    parameters = pipeline.build_parameters_from_execution(good.arn, {"MinAuc": 0.9})
    bad = pipeline.start(parameters=parameters, execution_display_name="strict")
    try:
        bad.wait(delay=1)
    except WaiterError as error:
        assert "terminal failure" in str(error)
    steps = {step["StepName"]: step for step in bad.list_steps()}
    assert steps["Train"]["CacheHitResult"]["SourcePipelineExecutionArn"] == good.arn
    assert steps["Refuse"]["FailureReason"] == "auc below 0.9"
    values = {one["Name"]: one["Value"] for one in bad.list_parameters()["PipelineParameters"]}
    assert values == {"Image": asked["image"], "MinAuc": "0.9"}
    executions = pipeline.list_executions()["PipelineExecutionSummaries"]
    assert [one["PipelineExecutionStatus"] for one in executions] == ["Failed", "Succeeded"]


def main() -> None:
    asked = json.loads(sys.argv[1])
    session = PipelineSession(default_bucket=asked["bucket"])
    pipeline = made(asked, session)
    it_is_created_and_updated(pipeline, asked["role"])
    good = the_model_is_registered(pipeline, asked, session)
    the_same_model_is_refused_where_more_is_asked(pipeline, asked, good)
    pipeline.delete()
    print("done")


main()
