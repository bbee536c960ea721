"""The group that all lineage entities of an account and region are in.

SageMaker makes one, and has no operation that makes another. It is shared with other accounts through AWS RAM, which
there is none of here, so it has no policy.

Source: Amazon SageMaker Developer Guide, "Cross-Account Lineage Tracking".
"""

from __future__ import annotations

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import ApiError
from localcloud.sagemaker.listing import Listing, with_usual_times
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.wire import Operation, Request

GROUP = "lineage-group"
_NAME = "sagemaker-default-lineage-group"
_NO_POLICY = "{}"


class LineageGroups:
    """DescribeLineageGroup, ListLineageGroups and GetLineageGroupPolicy."""

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self._account = account

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "DescribeLineageGroup": self.describe,
            "ListLineageGroups": self.list,
            "GetLineageGroupPolicy": self.policy,
        }

    async def start(self) -> None:
        """Make the group where there is none yet."""
        if self._store.get(GROUP, _NAME) is None:
            now = self._account.now()
            made = {"LineageGroupName": _NAME, "LineageGroupArn": default_group(self._account), "DisplayName": _NAME}
            async with self._store.change() as change:
                change.put(GROUP, _NAME, {**made, "CreationTime": now, "LastModifiedTime": now})

    async def describe(self, request: Request) -> Document:
        """Everything about the group."""
        return {**self._get(request["LineageGroupName"]), "CreatedBy": {}}

    async def list(self, request: Request) -> Document:
        """The group."""
        listing = Listing("LineageGroupSummaries", "LineageGroupName", dict, ascending=True)
        return listing.page(self._store.all(GROUP), with_usual_times(request))

    async def policy(self, request: Request) -> Document:
        """The policy of the group, which is empty."""
        return {
            "LineageGroupArn": self._get(request["LineageGroupName"])["LineageGroupArn"],
            "ResourcePolicy": _NO_POLICY,
        }

    def _get(self, name_or_arn: str) -> Document:
        name = self._account.name(GROUP, name_or_arn)
        group = self._store.get(GROUP, name)
        if group is None:
            arn = name if name.startswith("arn:") else self._account.arn(GROUP, name)
            raise ApiError("ResourceNotFound", f"Lineage group {arn} does not exist.")
        return group


def default_group(account: Account) -> str:
    """The ARN of the group."""
    return account.arn(GROUP, _NAME)
