"""A stage of a run: trial components, and the trials that they are in."""

from __future__ import annotations

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.experiments import COMPONENT, EXPERIMENT, TRIAL, changed, found, key, make, put, shown
from localcloud.sagemaker.lineage_entities import ASSOCIATION, key_of_association
from localcloud.sagemaker.lineage_groups import default_group
from localcloud.sagemaker.listing import Listing, with_usual_times
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.wire import Operation, Request

_MAPS = ("Parameters", "InputArtifacts", "OutputArtifacts")
_ONE_FILTER = ("ExperimentName", "TrialName", "SourceArn")


class TrialComponents:
    """Create, describe, update, delete, list trial components, and put them into trials.

    Those of jobs are made by `localcloud.sagemaker.lineage_told`. Differs from AWS: metrics are those that a
    training job's MetricDefinitions find; nothing takes others.
    """

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self._account = account

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "CreateTrialComponent": self.create,
            "DescribeTrialComponent": self.describe,
            "UpdateTrialComponent": self.update,
            "DeleteTrialComponent": self.delete,
            "ListTrialComponents": self.list,
            "AssociateTrialComponent": self.associate,
            "DisassociateTrialComponent": self.disassociate,
        }

    async def create(self, request: Request) -> Document:
        """Make a component that is in no trial yet."""
        _check(request)
        async with self._store.change() as change:
            arn = make(self._store, self._account, change, COMPONENT, {**request, "Trials": []})
        return {"TrialComponentArn": arn}

    async def describe(self, request: Request) -> Document:
        """Everything about a component."""
        component = self._get(request)
        sources = {"Sources": [component["Source"]]} if "Source" in component else {}
        return {**shown(component), **sources, "LineageGroupArn": default_group(self._account)}

    async def update(self, request: Request) -> Document:
        """Change a component: of parameters and artifacts, those that are given are added or take the others' place."""
        _check(request)
        async with self._store.change() as change:
            component = self._get(request)
            whole = {
                name: request[name] for name in ("DisplayName", "Status", "StartTime", "EndTime") if name in request
            }
            for name in _MAPS:
                merged = {**component.get(name, {}), **request.get(name, {})}
                for gone in request.get(f"{name}ToRemove", ()):
                    merged.pop(gone, None)
                if merged or name in component:
                    whole[name] = merged
            put(change, COMPONENT, {**component, **whole, **changed(self._account)})
        return {"TrialComponentArn": component["TrialComponentArn"]}

    async def delete(self, request: Request) -> Document:
        """Forget a component that is in no trial any more, and what it is associated with."""
        async with self._store.change() as change:
            component = self._get(request)
            arn = component["TrialComponentArn"]
            if component["Trials"]:
                names = ", ".join(component["Trials"])
                raise invalid(f"Trial component {arn} cannot be deleted because it is still associated with {names}.")
            for edge in self._store.all(ASSOCIATION):
                if arn in {edge["SourceArn"], edge["DestinationArn"]}:
                    change.delete(ASSOCIATION, key_of_association(edge))
            change.delete(COMPONENT, key(component["TrialComponentName"]))
        return {"TrialComponentArn": arn}

    async def list(self, request: Request) -> Document:
        """Components of a trial, an experiment, a source or of all, the newest first unless asked otherwise."""
        given = [name for name in _ONE_FILTER if name in request]
        if len(given) > 1:
            raise invalid(f"{' and '.join(given)} are both set; ListTrialComponents takes one of them.")
        components = [one for one in self._store.all(COMPONENT) if self._wanted(one, request)]
        return Listing("TrialComponentSummaries", "TrialComponentName", _summary).page(
            components, with_usual_times(request)
        )

    async def associate(self, request: Request) -> Document:
        """Put a component into a trial; again, nothing changes."""
        async with self._store.change() as change:
            component, trial = self._both(request)
            if trial["TrialName"] not in component["Trials"]:
                put(change, COMPONENT, {**component, "Trials": [*component["Trials"], trial["TrialName"]]})
        return {"TrialComponentArn": component["TrialComponentArn"], "TrialArn": trial["TrialArn"]}

    async def disassociate(self, request: Request) -> Document:
        """Take a component out of a trial; where it is not in it, nothing changes."""
        async with self._store.change() as change:
            component, trial = self._both(request)
            others = [name for name in component["Trials"] if name != trial["TrialName"]]
            put(change, COMPONENT, {**component, "Trials": others})
        return {"TrialComponentArn": component["TrialComponentArn"], "TrialArn": trial["TrialArn"]}

    def _get(self, request: Request) -> Document:
        return found(self._store, self._account, COMPONENT, request["TrialComponentName"])

    def _both(self, request: Request) -> tuple[Document, Document]:
        return self._get(request), found(self._store, self._account, TRIAL, request["TrialName"])

    def _wanted(self, component: Document, request: Request) -> bool:
        if "SourceArn" in request:
            return component.get("Source", {}).get("SourceArn") == request["SourceArn"]
        if "TrialName" in request:
            return found(self._store, self._account, TRIAL, request["TrialName"])["TrialName"] in component["Trials"]
        if "ExperimentName" in request:
            experiment = found(self._store, self._account, EXPERIMENT, request["ExperimentName"])["ExperimentName"]
            return any(parent["ExperimentName"] == experiment for parent in parents(self._store, component))
        return True


def parents(store: Store, component: Document) -> list[Document]:
    """The trials of a component with their experiments, as Search shows them."""
    trials = [store.get(TRIAL, key(name)) for name in component["Trials"]]
    return [{name: trial[name] for name in ("TrialName", "ExperimentName")} for trial in trials if trial]


def _check(request: Request) -> None:
    for name, value in request.get("Parameters", {}).items():
        if len(value) != 1:
            raise invalid(f"Parameter {name} must have either a StringValue or a NumberValue.")


def _summary(component: Document) -> Document:
    members = (
        "TrialComponentName",
        "TrialComponentArn",
        "DisplayName",
        "Status",
        "StartTime",
        "EndTime",
        "CreationTime",
        "LastModifiedTime",
    )
    source = {"TrialComponentSource": component["Source"]} if "Source" in component else {}
    return {member: component[member] for member in members if member in component} | source | {"CreatedBy": {}}
