"""Keeps the entities that SageMaker makes by itself; which they are, `localcloud.sagemaker.tracked` says.

    tracking = Tracking(store, account)
    news.hear(tracking.job)                  # jobs that begin and end
    tracking.package(change, package, group)  # in the transaction that registers it

What is there already stays as it is: an artifact whoever made it, an action and a context of the name. A trial
component takes what is told of its job, and keeps what was added to it.
"""

from __future__ import annotations

from collections.abc import Iterable

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.deployment import Deployment
from localcloud.sagemaker.experiments import COMPONENT, EXPERIMENT, TRIAL, key, make, put
from localcloud.sagemaker.job_news import JobFacts
from localcloud.sagemaker.lineage_entities import ASSOCIATION, BY_SERVICE, KINDS, key_of_association, key_of_source
from localcloud.sagemaker.models import MODEL
from localcloud.sagemaker.registry import PACKAGE
from localcloud.sagemaker.store import Document, Store, Transaction
from localcloud.sagemaker.tracked import (
    Action,
    Artifact,
    Component,
    Entity,
    Tracked,
    of_approval,
    of_endpoint,
    of_job,
    of_package,
)

_TOLD = "told-job"
"""Kind of documents: as what a job was told last, so that a component that somebody deletes stays away."""
_STATUS = "Completed"
_ARN = "ARN"
_MERGED = ("Parameters", "InputArtifacts", "OutputArtifacts")


class Tracking:
    """Writes what the other parts tell of their resources into the lineage of an account and region."""

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self._account = account

    async def recover(self, jobs: Iterable[JobFacts]) -> None:
        """Take up the jobs that a server was killed before telling of."""
        for job in jobs:
            told = self._store.get(_TOLD, job.arn)
            if told is None or told["Status"] != job.status:
                await self.job(job)

    async def job(self, job: JobFacts) -> None:
        """A job begins, or is over."""
        async with self._store.change() as change:
            self._keep(change, of_job(job))
            change.put(_TOLD, job.arn, {"Status": job.status})

    def package(self, change: Transaction, package: Document, group: Document) -> None:
        """A package is registered."""
        self._keep(change, of_package(package, group))

    def approval(self, change: Transaction, package: Document) -> None:
        """A package has another approval status."""
        self._keep(change, of_approval(package, package["LastModifiedTime"]))

    async def endpoint(self, endpoint: Document, deployment: Deployment) -> None:
        """An endpoint serves a deployment."""
        packages: dict[str, str] = {}
        for variant in deployment.variants:
            model = self._store.get(MODEL, variant.model) or {}
            for container in model.get("Containers") or [model.get("PrimaryContainer", {})]:
                if name := container.get("ModelPackageName"):
                    packages[variant.model] = self._account.arn(PACKAGE, self._account.name(PACKAGE, name))
        async with self._store.change() as change:
            self._keep(change, of_endpoint(endpoint, deployment, packages))

    def _keep(self, change: Transaction, tracked: Tracked) -> None:
        arns = {entity: self._entity(change, entity) for entity in tracked.entities}
        for link in tracked.links:
            ends = {"SourceArn": arns[link.source], "DestinationArn": arns[link.destination]}
            name = key_of_association(ends)
            if self._store.get(ASSOCIATION, name) is None:
                made = {"AssociationType": link.type, "CreationTime": self._account.now(), BY_SERVICE: True}
                change.put(ASSOCIATION, name, {**ends, **made})

    def _entity(self, change: Transaction, entity: Entity) -> str:
        """The ARN of an entity, which is made if it is not there."""
        if isinstance(entity, Component):
            return self._component(change, entity)
        kind = KINDS[type(entity).__name__]
        if isinstance(entity, Artifact):
            source: Document = {"SourceUri": entity.uri}
            name = self._artifact_at(entity.uri) or key_of_source(source)
            members: Document = {}
        else:
            source = {"SourceUri": entity.arn, "SourceType": _ARN}
            name = entity.name
            members = {f"{kind.name}Name": name, **({"Status": _STATUS} if isinstance(entity, Action) else {})}
        arn = self._account.arn(kind.stored, name)
        if self._store.get(kind.stored, name) is None:
            now = self._account.now()
            times = {"CreationTime": now, "LastModifiedTime": now}
            found = {f"{kind.name}Arn": arn, f"{kind.name}Type": entity.type, "Source": source, BY_SERVICE: True}
            change.put(kind.stored, name, {**members, **found, **times})
        return arn

    def _artifact_at(self, uri: str) -> str | None:
        """What tells the artifact of a URI apart, whoever made it; None when there is none."""
        stored = KINDS[Artifact.__name__].stored
        if self._store.get(stored, key_of_source({"SourceUri": uri})):
            return None
        there = [one for one in self._store.all(stored) if one["Source"]["SourceUri"] == uri]
        oldest = min(there, key=lambda one: one["CreationTime"], default=None)
        return self._account.name(stored, oldest["ArtifactArn"]) if oldest else None

    def _component(self, change: Transaction, component: Component) -> str:
        name, trial = component.name, self._trial(change, component)
        arn = self._account.arn(COMPONENT, key(name))
        now = self._account.now()
        before = self._store.get(COMPONENT, key(name)) or {
            "TrialComponentName": name,
            "TrialComponentArn": arn,
            "DisplayName": name,
            "CreationTime": now,
            "Trials": [],
        }
        after = {**before, "LastModifiedTime": now}
        for member, value in component.members.items():
            after[member] = {**before.get(member, {}), **value} if member in _MERGED else value
        if trial and trial not in before["Trials"]:
            after["Trials"] = [*before["Trials"], trial]
        put(change, COMPONENT, after)
        return arn

    def _trial(self, change: Transaction, component: Component) -> str:
        """The trial that a component is to be in, which is made with its experiment if it is not there."""
        if not component.experiment or not component.trial:
            return ""
        experiment = self._store.get(EXPERIMENT, key(component.experiment))
        if experiment is None:
            wanted = {"ExperimentName": component.experiment}
            make(self._store, self._account, change, EXPERIMENT, wanted)
        trial = self._store.get(TRIAL, key(component.trial))
        if trial is None:
            of = (experiment or {"ExperimentName": component.experiment})["ExperimentName"]
            wanted = {"TrialName": component.trial, "ExperimentName": of}
            make(self._store, self._account, change, TRIAL, wanted)
        return (trial or {"TrialName": component.trial})["TrialName"]
