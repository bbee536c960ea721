"""Condition keys that a request has beside the global ones, and that ministack does not read.

Source: Service Authorization Reference of AWS, "Condition keys" of each service; Amazon DynamoDB developer guide,
"Using IAM policy conditions for fine-grained access control".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ministack.services import dynamodb

from localcloud.server.requests import Request

_UNKNOWN_KEY = ""
"""Stands for a partition key that cannot be told: no policy allows it."""

_IAM = {"iam:PolicyARN": "PolicyArn", "iam:PermissionsBoundary": "PermissionsBoundary"}


def condition_keys(request: Request) -> dict[str, Any]:
    """The condition keys of a request to any service but S3."""
    given = request.members
    if request.service == "monitoring" and given.get("Namespace"):
        return {"cloudwatch:namespace": str(given["Namespace"])}
    if request.service == "iam":
        return {key: str(given[member]) for key, member in _IAM.items() if given.get(member)}
    if request.service == "dynamodb" and (keys := [*_leading_keys(request.action, given)]):
        return {"dynamodb:LeadingKeys": keys}
    return {}


def role_of(principal: str) -> str:
    """The principal as `aws:PrincipalArn` has it: of a session of a role it is the role, not the session.

    Source: IAM User Guide, "AWS global condition context keys".
    """
    session = re.fullmatch(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/[^/]+", principal)
    return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}" if session else principal


def s3_conditions(action: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Condition keys of S3: on what there is a write depends."""
    names = ("if-match", "if-none-match")
    return {f"s3:{name}": headers[name] for name in names if headers.get(name)} if action == "s3:PutObject" else {}


def _leading_keys(action: str, given: Mapping[str, Any]) -> Iterator[str]:
    """The partition keys of all items that a request to DynamoDB names; a scan names none."""
    if action == "Query":
        yield _queried(given)
    for table, item in _items(given):
        yield _key(table, item)


def _items(given: Any) -> Iterator[tuple[Any, Any]]:
    yield from ((given.get("TableName"), given[part]) for part in ("Key", "Item") if given.get(part))
    tables = given.get("RequestItems")
    for table, asked in tables.items() if isinstance(tables, dict) else ():
        for one in asked if isinstance(asked, list) else asked.get("Keys", []):
            puts = (one.get("PutRequest") or {}).get("Item"), (one.get("DeleteRequest") or {}).get("Key")
            yield from ((table, item) for item in (puts if isinstance(asked, list) else (one,)) if item)
    for one in given.get("TransactItems") or ():
        for part in one.values():
            yield from _items(part)


def _key(table: Any, item: Mapping[str, Any]) -> str:
    stored = dynamodb._tables.get(dynamodb._normalize_table_name(table))
    return str(dynamodb._extract_key_val(item.get(stored["pk_name"]))) if stored else _UNKNOWN_KEY


def _queried(given: Mapping[str, Any]) -> str:
    """By the rules of the query itself."""
    stored = dynamodb._tables.get(dynamodb._normalize_table_name(given.get("TableName")))
    if not stored:
        return _UNKNOWN_KEY
    indexes = [*(stored.get("GlobalSecondaryIndexes") or ()), *(stored.get("LocalSecondaryIndexes") or ())]
    index = next((one for one in indexes if one["IndexName"] == given.get("IndexName")), None)
    names = dynamodb._index_key_lists(index)[0] if index else [stored["pk_name"]]
    if conditions := given.get("KeyConditions"):
        found = dynamodb._extract_pk_from_key_conditions(conditions, names[0])
    else:
        values, aliases = given.get("ExpressionAttributeValues") or {}, given.get("ExpressionAttributeNames") or {}
        condition = given.get("KeyConditionExpression")
        found = dynamodb._extract_pk_from_condition(condition, values, aliases, names[0])
    return _UNKNOWN_KEY if found is None else str(found)
