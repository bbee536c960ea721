"""A model archive in a bucket, an endpoint that serves it, and an alarm on its errors."""

import io
import json
import tarfile

import pulumi
import pulumi_aws as aws


def archive(greeting: str) -> str:
    """Write model.tar.gz; equal greetings give equal bytes."""
    with tarfile.open("model.tar.gz", "w:gz", compresslevel=9) as packed:
        member = tarfile.TarInfo("greeting.txt")
        member.size = len(greeting)
        packed.addfile(member, io.BytesIO(greeting.encode()))
    return "model.tar.gz"


trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
account, region = aws.get_caller_identity().account_id, aws.get_region().region

bucket = aws.s3.Bucket("models", force_destroy=True)
model_data = aws.s3.BucketObjectv2(
    "model", bucket=bucket.bucket, key="model.tar.gz", source=pulumi.FileAsset(archive("Hello"))
)
role = aws.iam.Role("serving", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
rights = aws.iam.RolePolicy(
    "read",
    role=role.id,
    policy=bucket.arn.apply(
        lambda arn: json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{arn}/*"},
                    {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"},
                ],
            }
        )
    ),
)
model = aws.sagemaker.Model(
    "greetings",
    execution_role_arn=role.arn,
    primary_container={
        "image": f"{account}.dkr.ecr.{region}.amazonaws.com/greetings:1",
        "model_data_url": pulumi.Output.concat("s3://", bucket.bucket, "/", model_data.key),
    },
    opts=pulumi.ResourceOptions(depends_on=[rights]),
)
config = aws.sagemaker.EndpointConfiguration(
    "greetings",
    production_variants=[
        {
            "variant_name": "all",
            "model_name": model.name,
            "instance_type": "ml.t2.medium",
            "initial_instance_count": 1,
        }
    ],
)
endpoint = aws.sagemaker.Endpoint("greetings", endpoint_config_name=config.name)
alarm = aws.cloudwatch.MetricAlarm(
    "errors",
    namespace="AWS/SageMaker",
    metric_name="Invocation5XXErrors",
    dimensions={"EndpointName": endpoint.name, "VariantName": "all"},
    statistic="Sum",
    period=60,
    evaluation_periods=1,
    threshold=1,
    comparison_operator="GreaterThanOrEqualToThreshold",
    treat_missing_data="notBreaching",
)
pulumi.export("endpoint", endpoint.name)
pulumi.export("alarm", alarm.name)
