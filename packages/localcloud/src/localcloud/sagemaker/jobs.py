"""What do clients ask of a job, whatever its kind: create and stop?"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.images import Images
from localcloud.sagemaker.job_checks import assume, refuse_crowd, refuse_taken, require_input
from localcloud.sagemaker.job_kinds import JobKind
from localcloud.sagemaker.job_runs import JobRuns
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.wire import Request
from localcloud.server.platform import Roles

LONGEST_BY_DEFAULT = 86_400
"""MaxRuntimeInSeconds that AWS takes if there is none."""

Runs = TypeVar("Runs", bound=JobRuns)


@dataclass(frozen=True)
class Needs:
    """What is looked for before a job begins.

    Attributes:
        image: What it runs.
        instance: The type of instance that it asks for.
        inputs: Addresses in S3 that it reads below.
    """

    image: str
    instance: str
    inputs: list[str]


class Jobs(abc.ABC, Generic[Runs]):
    """The control plane of jobs of one kind; what follows from a request is the runs'.

    Attributes:
        kind: Which.
        missing: What AWS says of a job that is not there, whose `{name}` it may tell.
    """

    kind: ClassVar[JobKind]
    missing: ClassVar[str]

    def __init__(self, store: Store, account: Account, roles: Roles, images: Images, runs: Runs) -> None:
        self._store = store
        self._account = account
        self._roles = roles
        self._images = images
        self._runs = runs

    async def create(self, request: Request) -> Document:
        """Begin a job after checking what AWS checks at once: its role, its image, its input, its name."""
        job = self._complete(request)
        name, needs = self.kind.name(job), self._needs(job)
        arn = self._account.arn(self.kind.stored, name)
        self._refuse_taken(name, arn)
        role = assume(self._roles, job["RoleArn"], arn, job["StoppingCondition"]["MaxRuntimeInSeconds"])
        if not await self._images.knows(needs.image):
            raise invalid(f"Cannot find the requested image: {needs.image}")
        await require_input(needs.inputs, role, job["RoleArn"], self._account)
        async with self._store.change() as change:
            self._refuse_taken(name, arn)
            refuse_crowd(self.kind, needs.instance, self._store.all(self.kind.stored))
            now = self._account.now()
            job |= {self.kind.member("Arn"): arn, "CreationTime": now}
            self._enter(job, "InProgress", now)
            change.put(self.kind.stored, name, job)
        self._runs.begin(job, role)
        return {self.kind.member("Arn"): arn}

    async def stop(self, request: Request) -> Document:
        """Begin to stop a job."""
        async with self._store.change() as change:
            job = self._get(request)
            name, status = self.kind.name(job), self.kind.status(job)
            if status != "InProgress":
                raise invalid(
                    f"The request was rejected because the {self.kind.word.lower()} job is in status {status}."
                )
            self._enter(job, "Stopping", self._account.now())
            change.put(self.kind.stored, name, job)
        await self._runs.interrupt(name)
        return {}

    @staticmethod
    @abc.abstractmethod
    def _complete(request: Request) -> Document:
        """A job's document with AWS's defaults.

        Raises:
            ApiError: Something is missing that the service model does not call required, or contradicts itself.
        """

    @staticmethod
    @abc.abstractmethod
    def _needs(job: Document) -> Needs:
        """What a job needs."""

    @staticmethod
    @abc.abstractmethod
    def _enter(job: Document, status: str, now: float) -> None:
        """Write into a job's document that it is `InProgress` or `Stopping` from now on."""

    def _get(self, request: Request) -> Document:
        name = self.kind.name(request)
        job = self._store.get(self.kind.stored, name)
        if job is None:
            raise invalid(self.missing.format(name=name))
        return job

    def _refuse_taken(self, name: str, arn: str) -> None:
        refuse_taken(self.kind, self._store.get(self.kind.stored, name), arn)
