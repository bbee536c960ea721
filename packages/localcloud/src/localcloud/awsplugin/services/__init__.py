"""Every resource type that the plugin serves, one file a service."""

import importlib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localcloud.awsplugin.spec import Resource

# Type token -> the file that serves it. Files are imported when their first resource comes by.
TYPES: dict[str, str] = {
    "aws:s3/bucket:Bucket": "s3",
    "aws:s3/bucketVersioning:BucketVersioning": "s3",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "s3",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "s3",
    "aws:s3/bucketPolicy:BucketPolicy": "s3",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "s3",
    "aws:s3/bucketNotification:BucketNotification": "s3",
    "aws:kms/key:Key": "kms",
    "aws:ecr/repository:Repository": "ecr",
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "ecr",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "sagemaker",
    "aws:sagemaker/model:Model": "sagemaker",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "sagemaker",
    "aws:sagemaker/endpoint:Endpoint": "sagemaker",
    "aws:sagemaker/pipeline:Pipeline": "pipelines",
    "aws:iam/role:Role": "iam",
    "aws:iam/rolePolicy:RolePolicy": "iam",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "iam",
    "aws:lambda/function:Function": "lambda_",
    "aws:lambda/permission:Permission": "lambda_",
    "aws:lambda/eventSourceMapping:EventSourceMapping": "event_sources",
    "aws:sqs/queue:Queue": "sqs",
    "aws:sns/topic:Topic": "sns",
    "aws:sns/topicSubscription:TopicSubscription": "sns",
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": "cloudwatch",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "cloudwatch",
    "aws:cloudwatch/dashboard:Dashboard": "cloudwatch",
    "aws:cloudwatch/eventRule:EventRule": "events",
    "aws:cloudwatch/eventTarget:EventTarget": "events",
    "aws:cloudwatch/logGroup:LogGroup": "logs",
    "aws:dynamodb/table:Table": "dynamodb",
    "aws:scheduler/schedule:Schedule": "scheduler",
}

# File -> the service's name in botocore.
SERVICE = {
    "s3": "s3",
    "kms": "kms",
    "ecr": "ecr",
    "sagemaker": "sagemaker",
    "pipelines": "sagemaker",
    "iam": "iam",
    "lambda_": "lambda",
    "event_sources": "lambda",
    "sqs": "sqs",
    "sns": "sns",
    "cloudwatch": "cloudwatch",
    "events": "events",
    "logs": "logs",
    "dynamodb": "dynamodb",
    "scheduler": "scheduler",
}


@cache
def find(token: str) -> "Resource | None":
    """The specification that serves a type token, or None when it is not served."""
    file = TYPES.get(token)
    if file is None:
        return None
    module = importlib.import_module(f"{__name__}.{file}")
    return next(spec for spec in module.RESOURCES if spec.type == token)
