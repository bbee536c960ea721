"""Amazon SageMaker pipelines."""

from __future__ import annotations

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.failures import is_missing
from localcloud.awsplugin.spec import Change, Failures, Names, Prop, Resource, TagApi
from localcloud.awsplugin.wire import Props

_TYPE = "aws:sagemaker/pipeline:Pipeline"
_TAGS = TagApi("list_tags", "add_tags", "delete_tags", "ResourceArn")
_NAMES = Names(_TYPE)
_TEXT, _PLACE = "pipelineDefinition", "pipelineDefinitionS3Location"
_READ = ("pipelineName", "pipelineDisplayName", "pipelineDescription", "roleArn", "parallelismConfiguration")


def _create(s: Scope, p: Props) -> Props:
    made = s("sagemaker").create_pipeline(**_NAMES.request(p, *_READ, _TEXT, _PLACE), Tags=_TAGS.pack(p["tags"]))
    return {"arn": made["PipelineArn"]}


def _read(s: Scope, k: Props) -> Props:
    """The pipeline; SageMaker keeps no place in S3, so that of the state stands for the definition that was there."""
    live = s("sagemaker").describe_pipeline(PipelineName=k["pipelineName"])
    found = {"arn": live["PipelineArn"], **_NAMES.state(live, *_READ)}
    if not found.get("pipelineDescription"):
        found.pop("pipelineDescription", None)
    if _PLACE in k and _TEXT not in k:
        return {**found, _PLACE: k[_PLACE]}
    return {**found, _TEXT: live["PipelineDefinition"]}


def _update(s: Scope, k: Props, p: Props, change: Change) -> None:
    wanted = _NAMES.request(p, *(name for name in (*_READ, _TEXT, _PLACE) if name in change.keys))
    if change.any("pipelineDescription"):
        wanted["PipelineDescription"] = p.get("pipelineDescription", "")
    if wanted:
        s("sagemaker").update_pipeline(PipelineName=k["pipelineName"], **wanted)


def _delete(s: Scope, k: Props) -> None:
    client, where = s("sagemaker"), {"PipelineName": k["pipelineName"]}
    client.delete_pipeline(**where)

    def gone() -> bool:
        try:
            client.describe_pipeline(**where)
        except client.exceptions.ClientError as error:
            if is_missing(error):
                return True
            raise
        return False

    s.wait(gone, f"pipeline {k['pipelineName']!r} to be deleted")


def _check(p: Props) -> Failures:
    if (_TEXT in p) == (_PLACE in p):
        return [(_TEXT, f"a pipeline has either {_TEXT!r} or {_PLACE!r}")]
    return []


RESOURCES = (
    Resource(
        _TYPE,
        props={
            "pipelineName": Prop(replace=True),
            "pipelineDisplayName": Prop(),
            "pipelineDescription": Prop(),
            "roleArn": Prop(),
            _TEXT: Prop(json=True),
            _PLACE: Prop(),
            # SageMaker can change it, and cannot take it away.
            "parallelismConfiguration": Prop(computed=True),
        },
        ident="pipelineName",
        identity=("pipelineName",),
        outputs=("arn",),
        required=("roleArn",),
        tags=_TAGS,
        check=_check,
        create=_create,
        read=_read,
        update=_update,
        delete=_delete,
        moves={_PLACE: (_TEXT,)},
    ),
)
