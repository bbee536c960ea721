"""Pulumi's type tokens of the resources that a stack may have."""

from typing import Final

BUCKET: Final = "aws:s3/bucket:Bucket"
BUCKET_CLOSED: Final = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
BUCKET_ENCRYPTION: Final = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
BUCKET_LIFECYCLE: Final = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
BUCKET_POLICY: Final = "aws:s3/bucketPolicy:BucketPolicy"
BUCKET_VERSIONING: Final = "aws:s3/bucketVersioning:BucketVersioning"
CLUSTER_BINDING: Final = "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"
CLUSTER_ROLE: Final = "kubernetes:rbac.authorization.k8s.io/v1:Role"
CLUSTER_SERVICE: Final = "kubernetes:core/v1:Service"
COMPOSITE_ALARM: Final = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
CONFIG: Final = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
DEPLOYMENT: Final = "kubernetes:apps/v1:Deployment"
ENDPOINT: Final = "aws:sagemaker/endpoint:Endpoint"
EVENT_RULE: Final = "aws:cloudwatch/eventRule:EventRule"
FUNCTION: Final = "aws:lambda/function:Function"
FUNCTION_PERMISSION: Final = "aws:lambda/permission:Permission"
GROUP: Final = "aws:sagemaker/modelPackageGroup:ModelPackageGroup"
KEY: Final = "aws:kms/key:Key"
LOG: Final = "aws:cloudwatch/logGroup:LogGroup"
METRIC_ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
MODEL: Final = "aws:sagemaker/model:Model"
NETWORK_POLICY: Final = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
PACKAGE: Final = "pulumi-python:dynamic/modelstack:Package"
QUEUE: Final = "aws:sqs/queue:Queue"
REPOSITORY: Final = "aws:ecr/repository:Repository"
REPOSITORY_POLICY: Final = "aws:ecr/repositoryPolicy:RepositoryPolicy"
ROLE: Final = "aws:iam/role:Role"
ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
SUBSCRIPTION: Final = "aws:sns/topicSubscription:TopicSubscription"
TABLE: Final = "aws:dynamodb/table:Table"
TOPIC: Final = "aws:sns/topic:Topic"

HOLDERS: Final = frozenset({BUCKET, BUCKET_POLICY, KEY, QUEUE, REPOSITORY_POLICY, ROLE, ROLE_POLICY, TOPIC})
"""Types whose policy is always an IAM document."""
KNOWN: Final = frozenset(
    {
        *HOLDERS,
        *(BUCKET_CLOSED, BUCKET_ENCRYPTION, BUCKET_LIFECYCLE, BUCKET_VERSIONING, COMPOSITE_ALARM, CONFIG, ENDPOINT),
        *(EVENT_RULE, FUNCTION, FUNCTION_PERMISSION, GROUP, LOG, METRIC_ALARM, MODEL, PACKAGE, REPOSITORY),
        *(SUBSCRIPTION, TABLE),
        *(CLUSTER_BINDING, CLUSTER_ROLE, CLUSTER_SERVICE, DEPLOYMENT, NETWORK_POLICY),
        # No rule is about one of these alone: only a policy document in them could open or share anything.
        "aws:cloudwatch/dashboard:Dashboard",
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        "aws:s3/bucketNotification:BucketNotification",
        "aws:sagemaker/mlflowApp:MlflowApp",
        "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer",
        "aws:sagemaker/pipeline:Pipeline",
        "aws:scheduler/schedule:Schedule",
        "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
        "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
        "kubernetes:core/v1:ConfigMap",
        "kubernetes:core/v1:ServiceAccount",
        "kubernetes:gateway.envoyproxy.io/v1alpha1:BackendTrafficPolicy",
        "kubernetes:gateway.envoyproxy.io/v1alpha1:EnvoyPatchPolicy",
        "kubernetes:gateway.networking.k8s.io/v1:Gateway",
        "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute",
        "kubernetes:modelstack.dev/v1:Rollout",
        "kubernetes:monitoring.coreos.com/v1:PrometheusRule",
        "kubernetes:monitoring.coreos.com/v1alpha1:AlertmanagerConfig",
        "kubernetes:policy/v1:PodDisruptionBudget",
        "pulumi-python:dynamic/modelstack:Mlflow",
        "pulumi-python:dynamic/modelstack:Rollout",
        "pulumi:providers:aws",
        "pulumi:providers:kubernetes",
        "pulumi:providers:pulumi",
        "pulumi:providers:pulumi-python",
        "pulumi:pulumi:Stack",
        "pulumi:pulumi:StackReference",
    }
)
"""All types that a stack may have, apart from the program's components; any other one needs an exemption."""


def known(kind: str) -> bool:
    """Whether a stack may have a type; the resources of a component of the program are judged one by one."""
    return kind in KNOWN or kind.startswith(("modelstack:index:", "modelstack:kubernetes:"))


def current(kind: str) -> str:
    """The present token of a type: S3 types have a second one that ends in V2."""
    return kind.replace("V2:", ":").removesuffix("V2") if kind.startswith("aws:s3/") else kind
