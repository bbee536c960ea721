"""Amazon SageMaker model package groups, models, endpoint configurations and endpoints."""

from __future__ import annotations

from typing import Any

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.failures import Failure, is_missing
from localcloud.awsplugin.spec import FAILED, Change, Failures, Name, Names, Prop, Resource, TagApi
from localcloud.awsplugin.wire import UNKNOWN, Props

_TAGS = TagApi("list_tags", "add_tags", "delete_tags", "ResourceArn")


def _gone(client: Any, describe: str, **where: str) -> bool:
    try:
        getattr(client, describe)(**where)
    except client.exceptions.ClientError as error:
        if is_missing(error):
            return True
        raise
    return False


GROUP = Names("aws:sagemaker/modelPackageGroup:ModelPackageGroup")
_GROUP = ("modelPackageGroupName", "modelPackageGroupDescription")


def _create_group(s: Scope, p: Props) -> Props:
    made = s("sagemaker").create_model_package_group(**GROUP.request(p, *_GROUP), Tags=_TAGS.pack(p["tags"]))
    return {"arn": made["ModelPackageGroupArn"]}


def _settle_group(s: Scope, k: Props, p: Props) -> None:
    name = k["modelPackageGroupName"]

    def ready() -> bool:
        live = s("sagemaker").describe_model_package_group(ModelPackageGroupName=name)
        if live["ModelPackageGroupStatus"] == "Failed":
            raise Failure(f"model package group {name!r} is Failed")
        return live["ModelPackageGroupStatus"] == "Completed"

    s.wait(ready, f"model package group {name!r}")


def _read_group(s: Scope, k: Props) -> Props:
    live = s("sagemaker").describe_model_package_group(ModelPackageGroupName=k["modelPackageGroupName"])
    found = {"arn": live["ModelPackageGroupArn"], **GROUP.state(live, *_GROUP)}
    if live["ModelPackageGroupStatus"] == "Failed":
        found[FAILED] = "the model package group is Failed"
    return found


def _delete_group(s: Scope, k: Props) -> None:
    where = {"ModelPackageGroupName": k["modelPackageGroupName"]}
    s("sagemaker").delete_model_package_group(**where)
    s.wait(
        lambda: _gone(s("sagemaker"), "describe_model_package_group", **where),
        f"model package group {k['modelPackageGroupName']!r} to be deleted",
    )


MODEL_PACKAGE_GROUP = Resource(
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup",
    props={
        "modelPackageGroupName": Prop(replace=True),
        "modelPackageGroupDescription": Prop(replace=True),
    },
    ident="modelPackageGroupName",
    identity=("modelPackageGroupName",),
    outputs=("arn",),
    tags=_TAGS,
    create=_create_group,
    settle=_settle_group,
    read=_read_group,
    delete=_delete_group,
)

MODEL = Names(
    "aws:sagemaker/model:Model",
    {"name": "ModelName", "s3DataSources": "S3DataSource*"},
)
_MODEL = (
    "name",
    "executionRoleArn",
    "primaryContainer",
    "containers",
    "enableNetworkIsolation",
    "vpcConfig",
)
_CONTAINER = {"mode": "SingleModel"}
_NO_CONTAINER = ("multiModelConfig", "inferenceSpecificationName")


def _create_model(s: Scope, p: Props) -> Props:
    made = s("sagemaker").create_model(**MODEL.request(p, *_MODEL), Tags=_TAGS.pack(p["tags"]))
    return {"arn": made["ModelArn"]}


def _read_model(s: Scope, k: Props) -> Props:
    live = s("sagemaker").describe_model(ModelName=k["name"])
    return {"arn": live["ModelArn"], **MODEL.state(live, *_MODEL)}


def _check_model(p: Props) -> Failures:
    if ("primaryContainer" in p) == ("containers" in p):
        return [("primaryContainer", "a model has either 'primaryContainer' or 'containers'")]
    containers = p["containers"] if "containers" in p else [p["primaryContainer"]]
    if containers is UNKNOWN:
        return []
    for index, container in enumerate(containers):
        path = f"containers[{index}]" if "containers" in p else "primaryContainer"
        if isinstance(container, dict) and not container.get("image") and not container.get("modelPackageName"):
            return [(path, "a container needs 'image' or 'modelPackageName'")]
    return []


RESOURCE_MODEL = Resource(
    "aws:sagemaker/model:Model",
    props={
        "name": Prop(replace=True, computed=True),
        "executionRoleArn": Prop(replace=True),
        "primaryContainer": Prop(replace=True, inner=_CONTAINER, without=_NO_CONTAINER),
        "containers": Prop(replace=True, inner=_CONTAINER, without=_NO_CONTAINER),
        "enableNetworkIsolation": Prop(replace=True, default=False),
        "vpcConfig": Prop(replace=True),
    },
    ident="name",
    outputs=("arn",),
    name=Name(limit=63),
    tags=_TAGS,
    check=_check_model,
    create=_create_model,
    read=_read_model,
    delete=lambda s, k: s("sagemaker").delete_model(ModelName=k["name"]),
)

CONFIG = Names(
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    {
        "name": "EndpointConfigName",
        "kmsKeyArn": "KmsKeyId",
        "volumeSizeInGb": "VolumeSizeInGB",
        "enableSsmAccess": "EnableSSMAccess",
        "routingConfigs": "RoutingConfig*",
        "s3OutputPath": "S3OutputPath",
    },
)
_CONFIG = (
    "name",
    "productionVariants",
    "shadowProductionVariants",
    "dataCaptureConfig",
    "executionRoleArn",
    "kmsKeyArn",
)
_VARIANT: dict[str, Any] = {
    "initialVariantWeight": 1,
    "variantName": ...,
    "routingConfigs": ...,
    "volumeSizeInGb": ...,
    "enableSsmAccess": False,
}
_NO_VARIANT = ("serverlessConfig", "managedInstanceScaling", "coreDumpConfig")


def _create_config(s: Scope, p: Props) -> Props:
    wanted = CONFIG.request(p, *_CONFIG)
    for kind, start in (("ProductionVariants", "variant"), ("ShadowProductionVariants", "shadow")):
        for index, variant in enumerate(wanted.get(kind, [])):
            variant.setdefault("VariantName", f"{start}-{index + 1}")
            variant.setdefault("InitialVariantWeight", 1)
    made = s("sagemaker").create_endpoint_config(**wanted, Tags=_TAGS.pack(p["tags"]))
    return {"arn": made["EndpointConfigArn"]}


def _read_config(s: Scope, k: Props) -> Props:
    live = s("sagemaker").describe_endpoint_config(EndpointConfigName=k["name"])
    return {"arn": live["EndpointConfigArn"], **CONFIG.state(live, *_CONFIG)}


def _check_config(p: Props) -> Failures:
    variants = p["productionVariants"]
    if variants is UNKNOWN:
        return []
    if not variants:
        return [("productionVariants", "an endpoint configuration needs at least one production variant")]
    names = [v["variantName"] for v in variants if isinstance(v, dict) and isinstance(v.get("variantName"), str)]
    if len(set(names)) != len(names):
        return [("productionVariants", f"variant names must differ: {names}")]
    return []


ENDPOINT_CONFIGURATION = Resource(
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    props={
        "name": Prop(replace=True, computed=True),
        "namePrefix": Prop(replace=True, local=True),
        "productionVariants": Prop(replace=True, inner=_VARIANT, without=_NO_VARIANT),
        "shadowProductionVariants": Prop(replace=True, inner=_VARIANT, without=_NO_VARIANT),
        "dataCaptureConfig": Prop(replace=True, inner={"enableCapture": False, "captureContentTypeHeader": ...}),
        "executionRoleArn": Prop(replace=True),
        "kmsKeyArn": Prop(replace=True),
    },
    ident="name",
    outputs=("arn",),
    name=Name(limit=63, prefix="namePrefix"),
    tags=_TAGS,
    check=_check_config,
    create=_create_config,
    read=_read_config,
    delete=lambda s, k: s("sagemaker").delete_endpoint_config(EndpointConfigName=k["name"]),
)

ENDPOINT = Names("aws:sagemaker/endpoint:Endpoint", {"name": "EndpointName"})
_ENDPOINT = ("name", "endpointConfigName", "deploymentConfig")
_MOVING = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}


def _create_endpoint(s: Scope, p: Props) -> Props:
    made = s("sagemaker").create_endpoint(**ENDPOINT.request(p, *_ENDPOINT), Tags=_TAGS.pack(p["tags"]))
    return {"arn": made["EndpointArn"]}


def _settled(s: Scope, name: str) -> Props:
    """Wait until the endpoint has stopped moving; its description."""
    found: Props = {}

    def stopped() -> bool:
        found.update(s("sagemaker").describe_endpoint(EndpointName=name))
        return found["EndpointStatus"] not in _MOVING

    s.wait(stopped, f"endpoint {name!r} to be InService", timeout=3600)
    return found


def _settle_endpoint(s: Scope, k: Props, p: Props) -> None:
    live = _settled(s, k["name"])
    if live["EndpointStatus"] != "InService":
        raise Failure(f"endpoint {k['name']!r} is {live['EndpointStatus']}: {_reason(live)}")


def _reason(live: Props) -> str:
    return live.get("FailureReason") or "no reason given"


def _read_endpoint(s: Scope, k: Props) -> Props:
    live = s("sagemaker").describe_endpoint(EndpointName=k["name"])
    last = {"DeploymentConfig": live.get("LastDeploymentConfig")}  # of whoever made the last guarded update
    return {"arn": live["EndpointArn"], **ENDPOINT.state({**live, **last}, *_ENDPOINT)}


def _update_endpoint(s: Scope, k: Props, p: Props, change: Change) -> None:
    """Move the endpoint to another configuration and say what came of it.

    SageMaker rolls a failed update back and is InService again, so only the configuration that serves afterwards
    tells whether the update succeeded.
    """
    before = _settled(s, k["name"])
    if before["EndpointStatus"] == "Failed":
        raise Failure(f"endpoint {k['name']!r} is Failed, and can only be deleted: {_reason(before)}")
    done = before["EndpointStatus"] == "InService" and before["EndpointConfigName"] == p["endpointConfigName"]
    if done and change.any("endpointConfigName"):
        return  # by an interrupted update, say
    s("sagemaker").update_endpoint(**ENDPOINT.request({**p, "name": k["name"]}, *_ENDPOINT))
    live = _settled(s, k["name"])
    serves, wanted = live["EndpointConfigName"], p["endpointConfigName"]
    if live["EndpointStatus"] != "InService":
        raise Failure(f"endpoint {k['name']!r} is {live['EndpointStatus']} after the update: {_reason(live)}")
    if serves != wanted:
        raise Failure(
            f"endpoint {k['name']!r} was not updated to {wanted!r}: {_reason(live)}. It still serves {serves!r}"
        )


def _delete_endpoint(s: Scope, k: Props) -> None:
    client, name = s("sagemaker"), k["name"]
    if not _gone(client, "describe_endpoint", EndpointName=name):
        if _settled(s, name)["EndpointStatus"] != "Deleting":
            client.delete_endpoint(EndpointName=name)
        s.wait(
            lambda: _gone(client, "describe_endpoint", EndpointName=name),
            f"endpoint {name!r} to be deleted",
            timeout=900,
        )


RESOURCE_ENDPOINT = Resource(
    "aws:sagemaker/endpoint:Endpoint",
    props={
        "name": Prop(replace=True, computed=True),
        "endpointConfigName": Prop(),
        "deploymentConfig": Prop(replace_on=("autoRollbackConfiguration",)),  # how an update is done, and was done last
    },
    ident="name",
    outputs=("arn",),
    name=Name(limit=63),
    tags=_TAGS,
    create=_create_endpoint,
    settle=_settle_endpoint,
    settles_first=True,
    read=_read_endpoint,
    update=_update_endpoint,
    delete=_delete_endpoint,
)

RESOURCES = (MODEL_PACKAGE_GROUP, RESOURCE_MODEL, ENDPOINT_CONFIGURATION, RESOURCE_ENDPOINT)
