"""What does SageMaker check of every kind of job before it begins one?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import ApiError, invalid
from localcloud.sagemaker.job_kinds import JobKind
from localcloud.sagemaker.store import Document
from localcloud.sagemaker.transfer import address, has_objects
from localcloud.server.platform import Assumed, RoleRefused, Roles

_PRINCIPAL = "sagemaker.amazonaws.com"
_MOST_JOBS = 8  # of a kind at once: each is a process of this machine
_AFTERWARDS = 3_600  # seconds that the credentials outlive the program, for the upload


def assume(roles: Roles, role: str, arn: str, seconds: float) -> Assumed:
    """Become the role of a job.

    Args:
        roles: Knows it.
        role: Its ARN.
        arn: The job's.
        seconds: How long its program may run.

    Raises:
        ApiError: There is no such role, or it does not trust SageMaker.
    """
    try:
        return roles.assume(role, "SageMaker", principal=_PRINCIPAL, source_arn=arn, seconds=seconds + _AFTERWARDS)
    except RoleRefused as error:
        raise invalid(
            f"Could not assume role {role}. Please ensure that the role exists and allows principal "
            f"'{_PRINCIPAL}' to assume the role. ({error})"
        ) from error


async def require_input(urls: Iterable[str], job_role: Assumed, role: str, account: Account) -> None:
    """Refuse an address below which there is no object that the job's role can list.

    Raises:
        ApiError: There is one.
    """
    wanted = list(urls)
    if not wanted:
        return
    s3 = await asyncio.to_thread(job_role.client, "s3")
    for url in wanted:
        if not await asyncio.to_thread(has_objects, s3, url):
            raise invalid(
                f'No S3 objects found under S3 URL "{url}" given in input data source. Please ensure that the '
                f"bucket exists in the selected region ({account.region}), that objects exist under that S3 "
                f'prefix, and that the role "{role}" has "s3:ListBucket" permissions on bucket '
                f'"{address(url)[0]}".'
            )


def require_s3(urls: Iterable[tuple[str, str]]) -> None:
    """Refuse an address that is not one of S3's own scheme.

    Args:
        urls: What it is of, and the address.

    Raises:
        ApiError: There is one.
    """
    for where, url in urls:
        if not url.startswith("s3://"):
            raise invalid(f"The S3 URI of {where} is {url}; the local SageMaker takes s3://bucket/prefix.")


def refuse_crowd(kind: JobKind, instance: str, jobs: Iterable[Document]) -> None:
    """Refuse a job where as many run as this machine is to bear.

    Args:
        kind: Its kind.
        instance: The type of instance that it asks for.
        jobs: All of its kind.

    Raises:
        ApiError: So many run.
    """
    running = sum(not kind.over(job) for job in jobs)
    if running >= _MOST_JOBS:
        raise ApiError(
            "ResourceLimitExceeded",
            f"The account-level service limit '{instance} for {kind.word.lower()} job usage' is {_MOST_JOBS} "
            f"Instances, with current utilization of {running} Instances and a request delta of 1 Instances. "
            "The local SageMaker runs no more jobs at once.",
        )


def refuse_taken(kind: JobKind, job: Document | None, arn: str) -> None:
    """Refuse a name that another job has, or once had.

    Raises:
        ApiError: It has.
    """
    if job:
        raise ApiError(
            "ResourceInUse",
            f"{kind.word} job names must be unique within an AWS account and region, and a {kind.word.lower()} job "
            f"with this name already exists ({arn})",
        )
