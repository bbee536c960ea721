"""An endpoint that greets, and an alarm on its errors that notifies a topic."""

import json

import pulumi
import pulumi_aws as aws

account, region = aws.get_caller_identity().account_id, aws.get_region().region
trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
pull = {"Effect": "Allow", "Action": ["ecr:BatchGetImage", "ecr:GetAuthorizationToken"], "Resource": "*"}

role = aws.iam.Role("serving", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
rights = aws.iam.RolePolicy("pull", role=role.id, policy=json.dumps({"Version": "2012-10-17", "Statement": [pull]}))
model = aws.sagemaker.Model(
    "greetings",
    execution_role_arn=role.arn,
    primary_container={
        "image": f"{account}.dkr.ecr.{region}.amazonaws.com/greetings:1",
        "environment": {"GREETING": pulumi.Config().get("greeting") or "Hello"},
    },
    opts=pulumi.ResourceOptions(depends_on=[rights]),
)
variant = {"model_name": model.name, "variant_name": "all", "instance_type": "ml.t2.medium"}
config = aws.sagemaker.EndpointConfiguration(
    "greetings", production_variants=[{**variant, "initial_instance_count": 1}]
)
endpoint = aws.sagemaker.Endpoint("greetings", endpoint_config_name=config.name)
topic = aws.sns.Topic("alerts")
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
    alarm_actions=[topic.arn],
)
pulumi.export("endpoint", endpoint.name)
