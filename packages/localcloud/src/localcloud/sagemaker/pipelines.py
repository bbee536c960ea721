"""What do clients ask of pipelines: create, update, describe, list, delete, and their versions?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker import pipeline_definition
from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import ApiError, conflict, invalid
from localcloud.sagemaker.listing import Listing, with_usual_times
from localcloud.sagemaker.pipeline_definition import Definition
from localcloud.sagemaker.store import Document, Store, Transaction
from localcloud.sagemaker.wire import Operation, Request
from localcloud.server.platform import RoleRefused, Roles

PIPELINE = "pipeline"
VERSION = "pipeline-version"
EXECUTION = "pipeline-execution"
STEP = "pipeline-step"
"""Kinds of documents; of a version `<pipeline>/<number>`, of an execution what its ARN ends with, and so of a step."""

PRINCIPAL = "sagemaker.amazonaws.com"
"""Who assumes a pipeline's role."""

RUNNING = {"Executing", "Stopping"}
"""Statuses of an execution that is not over."""

_KEPT = 32  # definitions that were read last
_LONGEST_DEFINITION = 1_048_576
_INTERNAL = {"Tags", "ClientRequestToken", "LatestVersion", "LastExecutionTime"}


class Pipelines:
    """The control plane of pipelines.

    Differs from AWS: a role must let SageMaker assume it when a pipeline is made, and `CreatedBy` is empty because
    callers are not told apart here.

    Args:
        store: Keeps them.
        account: Whose they are.
        roles: Knows their roles.
        s3: Answers a client for definitions in S3; blocks.
        model: Answers botocore's model of SageMaker.
    """

    def __init__(
        self, store: Store, account: Account, roles: Roles, s3: Callable[[], Any], model: Callable[[], Any]
    ) -> None:
        self._store = store
        self._account = account
        self._roles = roles
        self._s3 = s3
        self._parse = lru_cache(_KEPT)(lambda text: pipeline_definition.parse(text, model()))

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "CreatePipeline": self.create,
            "UpdatePipeline": self.update,
            "DeletePipeline": self.delete,
            "DescribePipeline": self.describe,
            "ListPipelines": self.list,
            "ListPipelineVersions": self.list_versions,
            "UpdatePipelineVersion": self.update_version,
        }

    async def create(self, request: Request) -> Document:
        """Keep a pipeline and the first version of its definition. The same token again answers the same."""
        name = request["PipelineName"]
        arn = self._account.arn(PIPELINE, name)
        text = await self._text(request)
        if text is None:
            raise invalid("Either PipelineDefinition or PipelineDefinitionS3Location must be specified.")
        self.parsed(text)
        self._require_role(request["RoleArn"], arn)
        async with self._store.change() as change:
            there = self._store.get(PIPELINE, name)
            if there and there["ClientRequestToken"] == request["ClientRequestToken"]:
                return {"PipelineArn": arn}
            if there:
                raise invalid(
                    "Pipeline names must be unique within an AWS account and region. "
                    f"Pipeline with name ({name}) already exists."
                )
            now = self._account.now()
            members = ("PipelineDescription", "RoleArn", "ParallelismConfiguration", "Tags", "ClientRequestToken")
            pipeline = {
                "PipelineName": name,
                "PipelineArn": arn,
                "PipelineDisplayName": request.get("PipelineDisplayName", name),
                **{member: request[member] for member in members if member in request},
                "PipelineStatus": "Active",
                "CreationTime": now,
                "LastModifiedTime": now,
                "LatestVersion": 0,
            }
            self._add_version(change, pipeline, text)
        return {"PipelineArn": arn}

    async def update(self, request: Request) -> Document:
        """Change a pipeline; another definition is another version."""
        text = await self._text(request)
        if text is not None:
            self.parsed(text)
        async with self._store.change() as change:
            pipeline = self.get(request["PipelineName"])
            if "RoleArn" in request:
                self._require_role(request["RoleArn"], pipeline["PipelineArn"])
            for member in ("PipelineDisplayName", "PipelineDescription", "RoleArn", "ParallelismConfiguration"):
                if member in request:
                    pipeline[member] = request[member]
            pipeline["LastModifiedTime"] = self._account.now()
            if text is None or text == self.version(pipeline)["PipelineDefinition"]:
                change.put(PIPELINE, pipeline["PipelineName"], pipeline)
            else:
                self._add_version(change, pipeline, text)
        return {"PipelineArn": pipeline["PipelineArn"], "PipelineVersionId": pipeline["LatestVersion"]}

    async def delete(self, request: Request) -> Document:
        """Forget a pipeline with its versions and executions; one that is executed is a conflict."""
        async with self._store.change() as change:
            pipeline = self.get(request["PipelineName"])
            name = pipeline["PipelineName"]
            executions = [one for one in self._store.all(EXECUTION) if one["PipelineName"] == name]
            running = [one["PipelineExecutionArn"] for one in executions if one["PipelineExecutionStatus"] in RUNNING]
            if running:
                raise conflict(f"Pipeline {pipeline['PipelineArn']} cannot be deleted while {running[0]} runs.")
            change.delete(PIPELINE, name)
            for version in self._versions(name):
                change.delete(VERSION, _version_name(name, version["PipelineVersionId"]))
            for execution in executions:
                change.delete(EXECUTION, self._account.name(PIPELINE, execution["PipelineExecutionArn"]))
            for step in [one for one in self._store.all(STEP) if one["PipelineName"] == name]:
                change.delete(STEP, f"{self._account.name(PIPELINE, step['PipelineExecutionArn'])}/{step['StepName']}")
        return {"PipelineArn": pipeline["PipelineArn"]}

    async def describe(self, request: Request) -> Document:
        """A pipeline with its newest definition, or another version's."""
        pipeline = self.get(request["PipelineName"])
        version = self.version(pipeline, request.get("PipelineVersionId"))
        shown = ("PipelineDefinition", "PipelineVersionDisplayName", "PipelineVersionDescription")
        of_version = {member: version[member] for member in shown if member in version}
        last = {"LastRunTime": pipeline["LastExecutionTime"]} if "LastExecutionTime" in pipeline else {}
        own = {member: value for member, value in pipeline.items() if member not in _INTERNAL}
        return {**own, **of_version, **last, "CreatedBy": {}, "LastModifiedBy": {}}

    async def list(self, request: Request) -> Document:
        """Pipelines, the newest first unless asked otherwise."""
        prefix = request.get("PipelineNamePrefix", "")
        found = [one for one in self._store.all(PIPELINE) if one["PipelineName"].startswith(prefix)]
        return Listing("PipelineSummaries", "PipelineName", _summary).page(found, with_usual_times(request))

    async def list_versions(self, request: Request) -> Document:
        """Versions of a pipeline, the newest first unless asked otherwise."""
        pipeline = self.get(request["PipelineName"])
        listing = Listing("PipelineVersionSummaries", "PipelineVersionId", _version_summary)
        asked = {member: value for member, value in with_usual_times(request).items() if member != "PipelineName"}
        return listing.page(self._versions(pipeline["PipelineName"]), {**asked, "SortBy": "Version"})

    async def update_version(self, request: Request) -> Document:
        """Give a version another name or description."""
        async with self._store.change() as change:
            pipeline = self.get(request["PipelineArn"])
            version = self.version(pipeline, request["PipelineVersionId"])
            for member in ("PipelineVersionDisplayName", "PipelineVersionDescription"):
                if member in request:
                    version[member] = request[member]
            change.put(VERSION, _version_name(pipeline["PipelineName"], version["PipelineVersionId"]), version)
        return {"PipelineArn": pipeline["PipelineArn"], "PipelineVersionId": version["PipelineVersionId"]}

    def get(self, name_or_arn: str) -> Document:
        """A pipeline.

        Raises:
            ApiError: There is none.
        """
        name = self._account.name(PIPELINE, name_or_arn)
        pipeline = self._store.get(PIPELINE, name)
        if pipeline is None:
            raise not_there("Pipeline", name if name.startswith("arn:") else self._account.arn(PIPELINE, name))
        return pipeline

    def version(self, pipeline: Document, number: int | None = None) -> Document:
        """A version of a pipeline, the newest if none is named.

        Raises:
            ApiError: There is none.
        """
        wanted = number or pipeline["LatestVersion"]
        found = self._store.get(VERSION, _version_name(pipeline["PipelineName"], wanted))
        if found is None:
            raise not_there("Pipeline version", f"{pipeline['PipelineArn']} {wanted}")
        return found

    def executed(self, change: Transaction, pipeline: Document, execution: Document) -> None:
        """Note that a pipeline is executed."""
        version = self.version(pipeline, execution["PipelineVersionId"])
        version["LastExecutionPipelineExecutionArn"] = execution["PipelineExecutionArn"]
        change.put(VERSION, _version_name(pipeline["PipelineName"], version["PipelineVersionId"]), version)
        change.put(PIPELINE, pipeline["PipelineName"], {**pipeline, "LastExecutionTime": execution["CreationTime"]})

    def parsed(self, text: str) -> Definition:
        """What a definition says.

        Raises:
            ApiError: It is none.
        """
        return self._parse(text)

    def _add_version(self, change: Transaction, pipeline: Document, text: str) -> None:
        number = pipeline["LatestVersion"] = pipeline["LatestVersion"] + 1
        version = {
            "PipelineName": pipeline["PipelineName"],
            "PipelineArn": pipeline["PipelineArn"],
            "PipelineVersionId": number,
            "PipelineDefinition": text,
            "CreationTime": pipeline["LastModifiedTime"],
        }
        change.put(VERSION, _version_name(pipeline["PipelineName"], number), version)
        change.put(PIPELINE, pipeline["PipelineName"], pipeline)

    def _versions(self, name: str) -> Sequence[Document]:
        return [version for version in self._store.all(VERSION) if version["PipelineName"] == name]

    async def _text(self, request: Request) -> str | None:
        place = request.get("PipelineDefinitionS3Location")
        if place is None:
            return request.get("PipelineDefinition")
        if "PipelineDefinition" in request:
            raise invalid("Both PipelineDefinition and PipelineDefinitionS3Location are set; set one of them.")
        return await asyncio.to_thread(self._read, place)

    def _read(self, place: Document) -> str:
        version = {"VersionId": place["VersionId"]} if "VersionId" in place else {}
        where = f"s3://{place['Bucket']}/{place['ObjectKey']}"
        try:
            found = self._s3().get_object(Bucket=place["Bucket"], Key=place["ObjectKey"], **version)
            text = found["Body"].read().decode()
        except (ClientError, BotoCoreError, UnicodeDecodeError) as error:
            raise invalid(f"Cannot read the pipeline definition at {where}: {error}") from error
        if len(text) > _LONGEST_DEFINITION:
            raise invalid(f"The pipeline definition at {where} has more than {_LONGEST_DEFINITION} characters.")
        return text

    def _require_role(self, role: str, arn: str) -> None:
        try:
            self._roles.require(role, principal=PRINCIPAL, source_arn=arn)
        except RoleRefused as error:
            raise invalid(
                f"Could not assume role {role}. Please ensure that the role exists and allows principal "
                f"'{PRINCIPAL}' to assume the role. ({error})"
            ) from error


def not_there(kind: str, arn: str) -> ApiError:
    """What there is none of."""
    return ApiError("ResourceNotFound", f"{kind} '{arn}' does not exist.")


def _version_name(pipeline: str, number: int) -> str:
    return f"{pipeline}/{number}"


def _summary(pipeline: Document) -> Document:
    members = (
        "PipelineArn",
        "PipelineName",
        "PipelineDisplayName",
        "PipelineDescription",
        "RoleArn",
        "CreationTime",
        "LastModifiedTime",
        "LastExecutionTime",
    )
    return {member: pipeline[member] for member in members if member in pipeline}


def _version_summary(version: Document) -> Document:
    return {name: value for name, value in version.items() if name not in {"PipelineName", "PipelineDefinition"}}
