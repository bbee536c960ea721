"""Which kinds of jobs are there, and what are the members of their documents called?"""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.sagemaker.store import Document

UNFINISHED = {"InProgress", "Stopping"}
"""Statuses of a job that is not over."""


@dataclass(frozen=True)
class JobKind:
    """A kind of jobs that run a process.

    Attributes:
        word: As it stands in the names of operations and members, e.g. `Training`.
    """

    word: str

    @property
    def stored(self) -> str:
        """The kind of its documents, and of its ARNs."""
        return f"{self.word.lower()}-job"

    def member(self, what: str) -> str:
        """A member of a job's document: `TrainingJobName` is the `Name`."""
        return f"{self.word}Job{what}"

    def name(self, job: Document) -> str:
        """A job's name."""
        return job[self.member("Name")]

    def status(self, job: Document) -> str:
        """A job's status."""
        return job[self.member("Status")]

    def over(self, job: Document) -> bool:
        """Whether a job has ended."""
        return self.status(job) not in UNFINISHED


TRAINING, PROCESSING = JobKind("Training"), JobKind("Processing")
KINDS = {kind.stored: kind for kind in (TRAINING, PROCESSING)}
"""By the kind of their documents."""
