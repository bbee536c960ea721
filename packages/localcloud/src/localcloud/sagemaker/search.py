"""What is found by its properties: Search."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker import pipelines, processing_status, registry, training_status
from localcloud.sagemaker.account import Account
from localcloud.sagemaker.experiments import COMPONENT, EXPERIMENT, TRIAL
from localcloud.sagemaker.lineage_groups import default_group
from localcloud.sagemaker.listing import Listing
from localcloud.sagemaker.search_terms import Searched, check, require, satisfies, values
from localcloud.sagemaker.service_models import service_model
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.trial_components import parents
from localcloud.sagemaker.wire import Operation, Request

_NEWEST = "LastModifiedTime"


@dataclass(frozen=True)
class _Resource:
    """One of the resources that can be searched.

    Attributes:
        member: Of a SearchRecord.
        kind: Of its documents.
    """

    member: str
    kind: str

    @property
    def arn(self) -> str:
        return f"{self.member}Arn"


_RESOURCES = {
    "Experiment": _Resource("Experiment", EXPERIMENT),
    "ExperimentTrial": _Resource("Trial", TRIAL),
    "ExperimentTrialComponent": _Resource("TrialComponent", COMPONENT),
    "ModelPackage": _Resource("ModelPackage", registry.PACKAGE),
    "ModelPackageGroup": _Resource("ModelPackageGroup", registry.GROUP),
    "Pipeline": _Resource("Pipeline", pipelines.PIPELINE),
    "PipelineExecution": _Resource("PipelineExecution", pipelines.EXECUTION),
    "TrainingJob": _Resource("TrainingJob", training_status.JOB),
}
_JOBS = {
    "SageMakerTrainingJob": ("TrainingJob", training_status.JOB),
    "SageMakerProcessingJob": ("ProcessingJob", processing_status.JOB),
}


class Search:
    """Searches what the other parts keep.

    A record has the members of its document that AWS's service model knows. Sorted by what a record does not have, it
    is the first of all; the LastModifiedTime of what was never changed is its CreationTime.
    """

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self._account = account
        self._shape: Any = None
        self._more: Mapping[str, Callable[[Document], Document]] = {
            TRIAL: self._of_trial,
            COMPONENT: self._of_component,
            pipelines.PIPELINE: _of_pipeline,
        }

    def operations(self) -> dict[str, Operation]:
        """The operation of this part, by name."""
        return {"Search": self.search}

    async def search(self, request: Request) -> Document:
        """A page of the records that satisfy an expression, the last changed first unless asked otherwise."""
        if self._shape is None:  # reading the model takes a moment
            model = await asyncio.to_thread(service_model, "sagemaker", ("Search",))
            self._shape = model.operation_model("Search").output_shape
        resource = _RESOURCES[request["Resource"]]
        searched = Searched(resource.member, self._record_shape(resource.member))
        expression = request.get("SearchExpression", {})
        if "SearchExpression" in request:
            check(expression, searched)
        by = request.get("SortBy", _NEWEST)
        if by != _NEWEST:
            require(by, searched)
        records = [self._record(document, resource, searched) for document in self._store.all(resource.kind)]
        found = [
            {"Arn": one[resource.arn], "Key": self._key(one, by, searched), "CreationTime": 0, "Record": one}
            for one in records
            if satisfies(one, expression, searched)
        ]
        listing = Listing("Results", "Arn", lambda one: {resource.member: one["Record"]}, sort_members={"Key": "Key"})
        return listing.page(found, {**request, "SortBy": "Key", "By": by})

    def _record_shape(self, member: str) -> Any:
        return self._shape.members["Results"].member.members[member]

    def _record(self, document: Document, resource: _Resource, searched: Searched) -> Document:
        more = self._more.get(resource.kind)
        return _projected({**document, **(more(document) if more else {})}, searched.shape)

    def _of_trial(self, trial: Document) -> Document:
        inside = [one for one in self._store.all(COMPONENT) if trial["TrialName"] in one["Trials"]]
        members = ("TrialComponentName", "TrialComponentArn", "CreationTime")
        return {
            "TrialComponentSummaries": [
                {member: one[member] for member in members}
                | ({"TrialComponentSource": one["Source"]} if "Source" in one else {})
                for one in inside
            ]
        }

    def _of_component(self, component: Document) -> Document:
        found: Document = {"Parents": parents(self._store, component), "LineageGroupArn": default_group(self._account)}
        source = component.get("Source", {})
        if source.get("SourceType") in _JOBS:
            member, kind = _JOBS[source["SourceType"]]
            shape = self._record_shape("TrialComponent").members["SourceDetail"].members[member]
            if job := self._store.get(kind, self._account.name(kind, source["SourceArn"])):
                found["SourceDetail"] = {"SourceArn": source["SourceArn"], member: _projected(job, shape)}
        return found

    def _key(self, record: Document, by: str, searched: Searched) -> list[Any]:
        """What records are sorted by: none, numbers and times, texts."""
        fallback = record.get("CreationTime") if by == _NEWEST else None
        has = by != _NEWEST or _NEWEST in searched.shape.members
        found = values(record, by, searched) if has else []
        value = found[0] if found else fallback
        if value is None:
            return [0]
        return [1, float(value)] if isinstance(value, int | float) else [2, str(value)]


def _of_pipeline(pipeline: Document) -> Document:
    return {"LastRunTime": pipeline.get("LastExecutionTime")}


def _projected(document: Document, shape: Any) -> Document:
    """The members of a document that a shape has; an empty list is as good as none."""
    return {name: document[name] for name in shape.members if name in document and document[name] not in (None, [])}
