"""When is a job over? Known of the news of jobs, for those who wait in this process."""

from __future__ import annotations

import asyncio

from localcloud.sagemaker.job_kinds import KINDS
from localcloud.sagemaker.job_news import JobFacts, JobNews
from localcloud.sagemaker.store import Document, Store


class JobWatch:
    """Waits for jobs.

    Args:
        store: Keeps their documents.
        news: Tells of them.
    """

    def __init__(self, store: Store, news: JobNews) -> None:
        self._store = store
        self._waiting: dict[tuple[str, str], asyncio.Event] = {}
        news.hear(self._hear)

    def find(self, kind: str, name: str) -> Document | None:
        """The document of a job, if it is there."""
        return self._store.get(kind, name)

    async def over(self, kind: str, name: str) -> None:
        """Return when a job that is there is over."""
        event = self._waiting.setdefault((kind, name), asyncio.Event())
        try:
            job = self._store.get(kind, name)
            if job and not KINDS[kind].over(job):
                await event.wait()
        finally:
            self._waiting.pop((kind, name), None)

    async def _hear(self, job: JobFacts) -> None:
        event = self._waiting.get((job.kind, job.name))
        if event and job.over:
            event.set()
