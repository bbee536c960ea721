"""Which members of an implemented operation have a meaning here?

Whatever is not listed is refused by name: a setting that is taken and then ignored is worse than one that is refused.
Some of the listed members concern AWS's machines (instance types, volumes, VPCs, KMS keys, roles); they are kept and
given back, and mean nothing more on one machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from localcloud.sagemaker.errors import invalid

_CONTAINER = {
    "ContainerHostname": ...,
    "Image": ...,
    "Mode": {"SingleModel"},
    "ModelDataUrl": ...,
    "ModelDataSource": {
        "S3DataSource": {"S3Uri": ..., "S3DataType": {"S3Object"}, "CompressionType": {"Gzip"}, "ETag": ...}
    },
    "Environment": ...,
    "ModelPackageName": ...,
    "ImageConfig": {"RepositoryAccessMode": {"Platform"}},
}
_VARIANT = {
    "VariantName": ...,
    "ModelName": ...,
    "InitialInstanceCount": ...,
    "InstanceType": ...,
    "InitialVariantWeight": ...,
    "VolumeSizeInGB": ...,
    "ModelDataDownloadTimeoutInSeconds": ...,
    "ContainerStartupHealthCheckTimeoutInSeconds": ...,
    "RoutingConfig": {"RoutingStrategy": {"RANDOM", "LEAST_OUTSTANDING_REQUESTS"}},
    "EnableSSMAccess": {False},
}
_CHANNEL = {
    "ChannelName": ...,
    "DataSource": {
        "S3DataSource": {
            "S3DataType": {"S3Prefix"},
            "S3Uri": ...,
            # One instance gets all objects either way.
            "S3DataDistributionType": ...,
        }
    },
    "ContentType": ...,
    # As documented: "In File mode, leave this field unset or set it to None."
    "CompressionType": {"None"},
    "RecordWrapperType": {"None"},
    "InputMode": {"File"},
}
_PROCESSING_INPUT = {
    "InputName": ...,
    "AppManaged": {False},
    "S3Input": {
        "S3Uri": ...,
        "LocalPath": ...,
        "S3DataType": {"S3Prefix"},
        "S3InputMode": {"File"},
        # One instance gets all objects either way.
        "S3DataDistributionType": ...,
        "S3CompressionType": {"None"},
    },
}
_PROCESSING_OUTPUT = {
    "OutputName": ...,
    "AppManaged": {False},
    "S3Output": {"S3Uri": ..., "LocalPath": ..., "S3UploadMode": {"EndOfJob"}},
}
_PACKAGE = {
    "ModelPackageGroupName": ...,
    "ModelPackageDescription": ...,
    "InferenceSpecification": ...,
    "CertifyForMarketplace": {False},
    "Tags": ...,
    "ModelApprovalStatus": ...,
    "MetadataProperties": ...,
    "ModelMetrics": ...,
    "ClientToken": ...,
    "Domain": ...,
    "Task": ...,
    "SamplePayloadUrl": ...,
    "CustomerMetadataProperties": ...,
    "DriftCheckBaselines": ...,
    "SkipModelValidation": ...,
    "SourceUri": ...,
    "ModelCard": ...,
}
_EXPERIMENT = {"ExperimentName": ..., "TrialName": ..., "TrialComponentDisplayName": ...}
# `...` takes any value; a set, only its values; a dict, only its members; a list, items as its one item says.
_SUPPORTED: dict[str, dict[str, Any]] = {
    "CreateModelPackageGroup": {"ModelPackageGroupName": ..., "ModelPackageGroupDescription": ..., "Tags": ...},
    "CreateModelPackage": _PACKAGE,
    "DescribeModelPackage": {"ModelPackageName": ...},
    "UpdateModelPackage": {
        "ModelPackageArn": ...,
        "ModelApprovalStatus": ...,
        "ApprovalDescription": ...,
        "CustomerMetadataProperties": ...,
        "CustomerMetadataPropertiesToRemove": ...,
        "SourceUri": ...,
        "InferenceSpecification": ...,
        "ClientToken": ...,
        "ModelCard": ...,
    },
    "ListModelPackageGroups": {
        "CreationTimeAfter": ...,
        "CreationTimeBefore": ...,
        "MaxResults": ...,
        "NameContains": ...,
        "NextToken": ...,
        "SortBy": ...,
        "SortOrder": ...,
        "CrossAccountFilterOption": {"SameAccount"},
    },
    "CreateModel": {
        "ModelName": ...,
        "PrimaryContainer": _CONTAINER,
        "Containers": [_CONTAINER],
        "ExecutionRoleArn": ...,
        "Tags": ...,
        "VpcConfig": ...,
        "EnableNetworkIsolation": ...,
    },
    "CreateEndpointConfig": {
        "EndpointConfigName": ...,
        "ProductionVariants": [_VARIANT],
        "ShadowProductionVariants": [_VARIANT],
        "DataCaptureConfig": ...,
        "Tags": ...,
        "KmsKeyId": ...,
        "ExecutionRoleArn": ...,
        "VpcConfig": ...,
        "EnableNetworkIsolation": ...,
    },
    "CreateEndpoint": {"EndpointName": ..., "EndpointConfigName": ..., "DeploymentConfig": ..., "Tags": ...},
    "UpdateEndpoint": {
        "EndpointName": ...,
        "EndpointConfigName": ...,
        "RetainAllVariantProperties": ...,
        "ExcludeRetainedVariantProperties": ...,
        "DeploymentConfig": ...,
        "RetainDeploymentConfig": ...,
    },
    "CreateTrainingJob": {
        "TrainingJobName": ...,
        "HyperParameters": ...,
        "AlgorithmSpecification": {
            "TrainingImage": ...,
            "TrainingInputMode": {"File"},
            "ContainerEntrypoint": ...,
            "ContainerArguments": ...,
            "MetricDefinitions": ...,
            "EnableSageMakerMetricsTimeSeries": {False},
            "TrainingImageConfig": {"TrainingRepositoryAccessMode": {"Platform"}},
        },
        "RoleArn": ...,
        "InputDataConfig": [_CHANNEL],
        "OutputDataConfig": {"S3OutputPath": ..., "KmsKeyId": ..., "CompressionType": {"GZIP"}},
        "ResourceConfig": {
            "InstanceType": ...,
            "InstanceCount": {1},
            "VolumeSizeInGB": ...,
            "VolumeKmsKeyId": ...,
            "KeepAlivePeriodInSeconds": {0},
        },
        "VpcConfig": ...,
        "StoppingCondition": {"MaxRuntimeInSeconds": ...},
        "Tags": ...,
        "EnableNetworkIsolation": {False},
        "EnableInterContainerTrafficEncryption": ...,
        "EnableManagedSpotTraining": {False},
        "Environment": ...,
        "ExperimentConfig": _EXPERIMENT,
    },
    "CreateProcessingJob": {
        "ProcessingJobName": ...,
        "ProcessingInputs": [_PROCESSING_INPUT],
        "ProcessingOutputConfig": {"Outputs": [_PROCESSING_OUTPUT], "KmsKeyId": ...},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": ..., "InstanceCount": {1}, "VolumeSizeInGB": ..., "VolumeKmsKeyId": ...}
        },
        "StoppingCondition": ...,
        "AppSpecification": ...,
        "Environment": ...,
        "NetworkConfig": {
            "EnableInterContainerTrafficEncryption": ...,
            "EnableNetworkIsolation": {False},
            "VpcConfig": ...,
        },
        "RoleArn": ...,
        "Tags": ...,
        "ExperimentConfig": _EXPERIMENT,
    },
    "Search": {
        "Resource": {
            "Experiment",
            "ExperimentTrial",
            "ExperimentTrialComponent",
            "ModelPackage",
            "ModelPackageGroup",
            "Pipeline",
            "PipelineExecution",
            "TrainingJob",
        },
        "SearchExpression": ...,
        "SortBy": ...,
        "SortOrder": ...,
        "NextToken": ...,
        "MaxResults": ...,
        "CrossAccountFilterOption": {"SameAccount"},
    },
    "StartPipelineExecution": {
        "PipelineName": ...,
        "PipelineExecutionDisplayName": ...,
        "PipelineParameters": ...,
        "PipelineExecutionDescription": ...,
        "ClientRequestToken": ...,
        "ParallelismConfiguration": ...,
        "SelectiveExecutionConfig": ...,
        "PipelineVersionId": ...,
    },
    "UpdateEndpointWeightsAndCapacities": {
        "EndpointName": ...,
        "DesiredWeightsAndCapacities": [{"VariantName": ..., "DesiredWeight": ..., "DesiredInstanceCount": ...}],
    },
}


def refused_members(operation: str, members: Iterable[str]) -> list[str]:
    """The members of an operation that are refused whatever they say."""
    allowed = _SUPPORTED.get(operation)
    return [] if allowed is None else [name for name in members if name not in allowed]


def refuse_unsupported(operation: str, request: dict[str, Any]) -> None:
    """Refuse a request that sets what has no meaning here.

    Args:
        operation: The operation's name; one that is not listed above supports all its members.
        request: A request that satisfies the operation's input shape.

    Raises:
        ApiError: A ValidationException that names the members, and what may stand in their place.
    """
    allowed = _SUPPORTED.get(operation)
    found = [] if allowed is None else list(_unsupported(allowed, request, ""))
    if found:
        raise invalid(f"The local SageMaker does not support in {operation}: {'; '.join(found)}.")


def _unsupported(allowed: Any, value: Any, path: str) -> list[str]:
    if allowed is ... or value is None:
        return []
    if isinstance(allowed, list):
        return [
            message
            for position, item in enumerate(value, start=1)
            for message in _unsupported(allowed[0], item, f"{path}.{position}")
        ]
    if isinstance(allowed, set):
        choices = ", ".join(map(str, sorted(allowed)))
        return [] if value in allowed else [f"{path} = {value} (supported: {choices})"]
    found = []
    for name, item in value.items():
        member = f"{path}.{name}" if path else name
        if name in allowed:
            found += _unsupported(allowed[name], item, member)
        elif item is not None:
            found.append(f"{member} (supported: {', '.join(sorted(allowed))})")
    return found
