"""Amazon ECR repositories, and who may use them."""

from __future__ import annotations

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.spec import Change, Name, Names, Prop, Resource, TagApi
from localcloud.awsplugin.wire import Props

REPOSITORY = Names(
    "aws:ecr/repository:Repository",
    {"name": "repositoryName", "encryptionConfigurations": "encryptionConfiguration*"},
    lower=True,
)
_TAGS = TagApi("list_tags_for_resource", "tag_resource", "untag_resource", "resourceArn", tags="tags", names="tagKeys")


_INPUTS = (
    "name",
    "imageTagMutability",
    "imageTagMutabilityExclusionFilters",
    "imageScanningConfiguration",
    "encryptionConfigurations",
)


def _create_repository(s: Scope, p: Props) -> Props:
    wanted = REPOSITORY.request(p, *_INPUTS)
    if "encryptionConfiguration" in wanted:
        wanted["encryptionConfiguration"].setdefault("encryptionType", "AES256")
    made = s("ecr").create_repository(**wanted, tags=_TAGS.pack(p["tags"]))["repository"]
    return {"arn": made["repositoryArn"]}


def _read_repository(s: Scope, k: Props) -> Props:
    live = s("ecr").describe_repositories(repositoryNames=[k["name"]])["repositories"][0]
    return {
        "arn": live["repositoryArn"],
        "registryId": live["registryId"],
        "repositoryUrl": live["repositoryUri"],
        **REPOSITORY.state(live, *_INPUTS),
    }


def _update_repository(s: Scope, k: Props, p: Props, change: Change) -> None:
    if change.any("imageTagMutability", "imageTagMutabilityExclusionFilters"):
        wanted = REPOSITORY.request(p, "imageTagMutabilityExclusionFilters")
        s("ecr").put_image_tag_mutability(
            repositoryName=k["name"], imageTagMutability=p.get("imageTagMutability", "MUTABLE"), **wanted
        )
    if change.any("imageScanningConfiguration"):
        scanning = p.get("imageScanningConfiguration", {"scanOnPush": False})
        s("ecr").put_image_scanning_configuration(repositoryName=k["name"], imageScanningConfiguration=scanning)


def _delete_repository(s: Scope, k: Props) -> None:
    s("ecr").delete_repository(repositoryName=k["name"], force=k.get("forceDelete", False))


RESOURCE_REPOSITORY = Resource(
    "aws:ecr/repository:Repository",
    props={
        "name": Prop(replace=True, computed=True),
        "imageTagMutability": Prop(
            default="MUTABLE",
            one_of=("MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"),
        ),
        "imageTagMutabilityExclusionFilters": Prop(),
        "imageScanningConfiguration": Prop(default={"scanOnPush": False}),
        "encryptionConfigurations": Prop(
            replace=True,
            default=[{"encryptionType": "AES256"}],
            inner={"encryptionType": "AES256", "kmsKey": ...},
        ),
        "forceDelete": Prop(local=True, default=False),
    },
    ident="name",
    outputs=("arn", "registryId", "repositoryUrl"),
    name=Name(limit=256, lower=True),
    tags=_TAGS,
    create=_create_repository,
    read=_read_repository,
    update=_update_repository,
    delete=_delete_repository,
)


def _put_policy(s: Scope, p: Props) -> None:
    s("ecr").set_repository_policy(repositoryName=p["repository"], policyText=p["policy"])


def _read_policy(s: Scope, k: Props) -> Props:
    live = s("ecr").get_repository_policy(repositoryName=k["repository"])
    return {"repository": live["repositoryName"], "policy": live["policyText"], "registryId": live["registryId"]}


RESOURCE_REPOSITORY_POLICY = Resource(
    "aws:ecr/repositoryPolicy:RepositoryPolicy",
    props={"repository": Prop(replace=True), "policy": Prop(json=True)},
    ident="repository",
    identity=("repository",),
    outputs=("registryId",),
    create=_put_policy,
    read=_read_policy,
    update=lambda s, k, p, _: _put_policy(s, p),
    delete=lambda s, k: s("ecr").delete_repository_policy(repositoryName=k["repository"]),
)


RESOURCES = (RESOURCE_REPOSITORY, RESOURCE_REPOSITORY_POLICY)
