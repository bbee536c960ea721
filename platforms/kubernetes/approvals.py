"""Who agreed that a release may go on trial on a stack: the list `agreed` in the status of its ModelPackage.

    people_of(api, "flight-delay-prod", "3f0c1a2b4d5e")                # who agreed, oldest first
    give(api, "flight-delay-prod", "3f0c1a2b4d5e", why, now)            # the caller agrees

The caller is who the API server knows, and nobody agrees to what they registered themselves. Two who agree at once lose
nothing: a status is written on the version that was read. Who may write it is decided by RBAC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from platforms.kubernetes.api import Api, Object
from platforms.kubernetes.crds import AGREED
from platforms.kubernetes.kinds import PACKAGE
from platforms.kubernetes.names import ENDPOINT
from platforms.kubernetes.versions import version_of
from rollout.core.errors import Busy, Conflict
from rollout.core.release import release_id
from services.approvals import Approval, ApprovalRefused, refuse_maker
from services.principals import person

_ATTEMPTS = 8


def people_of(api: Api, endpoint: str, release: str) -> list[Approval]:
    """Who agreed to a release, and why, oldest first; nobody where it is not registered.

    Raises:
        RolloutError: The API server refuses, or does not answer.
    """
    found = _registered(api, endpoint, release)
    return [] if found is None else _given(found, release)


def people_of_package(api: Api, name: str, release: str) -> list[Approval]:
    """The same of a release whose ModelPackage is known: who deploys may read it, and need not list others."""
    found = api.find(PACKAGE, name)
    return [] if found is None else _given(found, release)


def give(api: Api, endpoint: str, release: str, why: str, now: float) -> list[Approval]:
    """Agree to a release as who the API server knows; once more changes nothing.

    Args:
        api: The namespace.
        endpoint: The stack's endpoint.
        release: The release's id.
        why: The person's reason.
        now: The time, epoch seconds.

    Returns:
        Who agreed, oldest first; the caller is one of them.

    Raises:
        ApprovalRefused: No such release is registered, or the caller registered it.
        RolloutError: The API server refuses, or does not answer.
    """
    who = api.user()
    for _ in range(_ATTEMPTS):
        found = _registered(api, endpoint, release)
        if found is None:
            raise ApprovalRefused(f"no release {release} is registered in {api.namespace}/{endpoint}")
        refuse_maker(who, release, version_of(found).made_by)
        given = _given(found, release)
        if person(who) in [person(one.who) for one in given]:
            return given
        given = [*given, Approval(release, found["spec"]["digest"], who, why, now)]
        try:
            kept = api.replace_status(PACKAGE, _with(found, given))
        except Conflict:
            continue
        if len(_given(kept, release)) < len(given):
            raise ApprovalRefused(
                f"the cluster keeps no `status.{AGREED}` of a ModelPackage: its definition is older than this "
                "checkout. `pulumi up` of a stack with kubernetes.definitions: true brings it up to date"
            )
        return given
    raise Busy(f"agree to release {release}: others write its ModelPackage all the time")


def _registered(api: Api, endpoint: str, release: str) -> Object | None:
    """The ModelPackage of a release; of one that is registered twice, in one image, there is but one."""
    for item in api.list(PACKAGE, {ENDPOINT: endpoint}):
        spec = item["spec"]
        if spec.get("recipe") and release_id(spec["recipe"], spec.get("image", "")) == release:
            return item
    return None


def _given(package: Mapping[str, Any], release: str) -> list[Approval]:
    said = (package.get("status") or {}).get(AGREED) or []
    digest = package["spec"]["digest"]
    read = (Approval(release, digest, one["who"], one["why"], float(one["at"])) for one in said)
    return sorted(read, key=lambda one: one.at)


def _with(package: Object, given: list[Approval]) -> Object:
    metadata = {key: item for key, item in package["metadata"].items() if key != "managedFields"}
    said = [{"who": one.who, "why": one.why, "at": one.at} for one in given]
    return {**package, "metadata": metadata, "status": {**(package.get("status") or {}), AGREED: said}}
