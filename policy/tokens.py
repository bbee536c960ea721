"""Pulumi's type tokens of the resources that rules are about."""

from typing import Final

ACCESS_POINT: Final = "aws:s3/accessPoint:AccessPoint"
ACCESS_POINT_POLICY: Final = "aws:s3control/accessPointPolicy:AccessPointPolicy"
ACCOUNT_CLOSED: Final = "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock"
BUCKET: Final = "aws:s3/bucket:Bucket"
BUCKET_ACL: Final = "aws:s3/bucketAcl:BucketAcl"
BUCKET_CLOSED: Final = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
BUCKET_ENCRYPTION: Final = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
BUCKET_LIFECYCLE: Final = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
BUCKET_POLICY: Final = "aws:s3/bucketPolicy:BucketPolicy"
BUCKET_VERSIONING: Final = "aws:s3/bucketVersioning:BucketVersioning"
COMPOSITE_ALARM: Final = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
CONFIG: Final = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
DEFAULT_SECURITY_GROUP: Final = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
ENDPOINT: Final = "aws:sagemaker/endpoint:Endpoint"
EVENT_PERMISSION: Final = "aws:cloudwatch/eventPermission:EventPermission"
EVENT_RULE: Final = "aws:cloudwatch/eventRule:EventRule"
FUNCTION: Final = "aws:lambda/function:Function"
FUNCTION_PERMISSION: Final = "aws:lambda/permission:Permission"
FUNCTION_URL: Final = "aws:lambda/functionUrl:FunctionUrl"
GROUP: Final = "aws:sagemaker/modelPackageGroup:ModelPackageGroup"
GROUP_POLICY: Final = "aws:iam/groupPolicy:GroupPolicy"
INGRESS_RULE: Final = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
KEY: Final = "aws:kms/key:Key"
KEY_POLICY: Final = "aws:kms/keyPolicy:KeyPolicy"
LAYER_PERMISSION: Final = "aws:lambda/layerVersionPermission:LayerVersionPermission"
LOG: Final = "aws:cloudwatch/logGroup:LogGroup"
LOG_POLICY: Final = "aws:cloudwatch/logResourcePolicy:LogResourcePolicy"
METRIC_ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
MODEL: Final = "aws:sagemaker/model:Model"
ORGANIZATION_POLICY: Final = "aws:organizations/policy:Policy"
PACKAGE: Final = "pulumi-python:dynamic/modelstack:Package"
POLICY: Final = "aws:iam/policy:Policy"
PUBLIC_REPOSITORY: Final = "aws:ecrpublic/repository:Repository"
QUEUE: Final = "aws:sqs/queue:Queue"
QUEUE_POLICY: Final = "aws:sqs/queuePolicy:QueuePolicy"
REGIONS: Final = "aws:s3control/multiRegionAccessPoint:MultiRegionAccessPoint"
REPOSITORY: Final = "aws:ecr/repository:Repository"
REPOSITORY_POLICY: Final = "aws:ecr/repositoryPolicy:RepositoryPolicy"
ROLE: Final = "aws:iam/role:Role"
ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
SECURITY_GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
SECURITY_RULE: Final = "aws:ec2/securityGroupRule:SecurityGroupRule"
SUBSCRIPTION: Final = "aws:sns/topicSubscription:TopicSubscription"
TABLE: Final = "aws:dynamodb/table:Table"
TABLE_POLICY: Final = "aws:dynamodb/resourcePolicy:ResourcePolicy"
TOPIC: Final = "aws:sns/topic:Topic"
TOPIC_POLICY: Final = "aws:sns/topicPolicy:TopicPolicy"
USER_POLICY: Final = "aws:iam/userPolicy:UserPolicy"
VPC_ENDPOINT: Final = "aws:ec2/vpcEndpoint:VpcEndpoint"
VPC_ENDPOINT_POLICY: Final = "aws:ec2/vpcEndpointPolicy:VpcEndpointPolicy"

HOLDERS: Final = frozenset(
    {
        *(ACCESS_POINT, ACCESS_POINT_POLICY, BUCKET, BUCKET_POLICY, GROUP_POLICY, KEY, KEY_POLICY, LOG_POLICY, POLICY),
        *(QUEUE, QUEUE_POLICY, REPOSITORY_POLICY, ROLE, ROLE_POLICY, TABLE_POLICY, TOPIC),
        *(TOPIC_POLICY, USER_POLICY),
    }
)
"""Types whose policy is always an IAM document."""


def current(kind: str) -> str:
    """The present token of a type: S3 types have a second one that ends in V2."""
    return kind.replace("V2:", ":").removesuffix("V2") if kind.startswith("aws:s3/") else kind
