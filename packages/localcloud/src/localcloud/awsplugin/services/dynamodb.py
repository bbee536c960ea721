"""Amazon DynamoDB tables."""

from __future__ import annotations

from typing import Any

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.failures import is_missing
from localcloud.awsplugin.spec import Change, Failures, Name, Prop, Resource, TagApi
from localcloud.awsplugin.wire import Props, has_unknown

_TAGS = TagApi("list_tags_of_resource", "tag_resource", "untag_resource", "ResourceArn")
_MODE = "PAY_PER_REQUEST"
"""The only billing mode that is served."""


def _key_schema(hash_key: str, range_key: str | None) -> list[dict[str, str]]:
    found = [{"AttributeName": hash_key, "KeyType": "HASH"}]
    return [*found, {"AttributeName": range_key, "KeyType": "RANGE"}] if range_key else found


def _index_schema(given: Props) -> list[dict[str, str]]:
    """The SDK has two forms of it: keys one by one, and a list."""
    if given.get("keySchemas"):
        return [{"AttributeName": key["attributeName"], "KeyType": key["keyType"]} for key in given["keySchemas"]]
    return _key_schema(given.get("hashKey", ""), given.get("rangeKey"))


def _index(given: Props) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": given["projectionType"]}
    if given.get("nonKeyAttributes"):
        projection["NonKeyAttributes"] = given["nonKeyAttributes"]
    return {"IndexName": given["name"], "KeySchema": _index_schema(given), "Projection": projection}


def _encryption(p: Props) -> dict[str, Any]:
    given = p.get("serverSideEncryption") or {"enabled": False}
    found: dict[str, Any] = {"Enabled": given["enabled"]}
    if given["enabled"]:
        found["SSEType"] = "KMS"
        if given.get("kmsKeyArn"):
            found["KMSMasterKeyId"] = given["kmsKeyArn"]
    return found


def _attributes(p: Props) -> list[dict[str, str]]:
    return [{"AttributeName": a["name"], "AttributeType": a["type"]} for a in p["attributes"]]


def _create_table(s: Scope, p: Props) -> Props:
    wanted: dict[str, Any] = {
        "TableName": p["name"],
        "AttributeDefinitions": _attributes(p),
        "KeySchema": _key_schema(p["hashKey"], p.get("rangeKey")),
        "BillingMode": _MODE,
        "DeletionProtectionEnabled": p.get("deletionProtectionEnabled", False),
    }
    if p.get("globalSecondaryIndexes"):
        wanted["GlobalSecondaryIndexes"] = [_index(i) for i in p["globalSecondaryIndexes"]]
    if p.get("serverSideEncryption"):
        wanted["SSESpecification"] = _encryption(p)
    made = s("dynamodb").create_table(**wanted, Tags=_TAGS.pack(p["tags"]))["TableDescription"]
    return {"arn": made["TableArn"]}


def _settle_table(s: Scope, k: Props, p: Props) -> None:
    _wait_active(s, k["name"])
    if p.get("pointInTimeRecovery"):
        _set_recovery(s, k["name"], p)
    if p.get("ttl"):
        _set_ttl(s, k["name"], p, {})


def _wait_active(s: Scope, name: str) -> None:
    def active() -> bool:
        live = s("dynamodb").describe_table(TableName=name)["Table"]
        indexes = live.get("GlobalSecondaryIndexes", [])
        return live["TableStatus"] == "ACTIVE" and all(i.get("IndexStatus", "ACTIVE") == "ACTIVE" for i in indexes)

    s.wait(active, f"table {name!r} to become active", timeout=1800)


def _set_recovery(s: Scope, name: str, p: Props) -> None:
    given = p.get("pointInTimeRecovery") or {"enabled": False}
    wanted: dict[str, Any] = {"PointInTimeRecoveryEnabled": given["enabled"]}
    if given.get("recoveryPeriodInDays"):
        wanted["RecoveryPeriodInDays"] = given["recoveryPeriodInDays"]
    s("dynamodb").update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=wanted)


def _set_ttl(s: Scope, name: str, p: Props, old: Props) -> None:
    given = p.get("ttl") or {}
    enabled = given.get("enabled", bool(given.get("attributeName")))
    attribute = given.get("attributeName") or (old.get("ttl") or {}).get("attributeName")
    wanted = {"Enabled": enabled, "AttributeName": attribute}
    s("dynamodb").update_time_to_live(TableName=name, TimeToLiveSpecification=wanted)


def _read_table(s: Scope, k: Props) -> Props:
    client = s("dynamodb")
    live = client.describe_table(TableName=k["name"])["Table"]
    keys = {item["KeyType"]: item["AttributeName"] for item in live["KeySchema"]}
    listed = {i["name"] for i in k.get("globalSecondaryIndexes") or [] if i.get("keySchemas")}
    return {
        "name": live["TableName"],
        "arn": live["TableArn"],
        "hashKey": keys["HASH"],
        "rangeKey": keys.get("RANGE"),
        "attributes": [{"name": a["AttributeName"], "type": a["AttributeType"]} for a in live["AttributeDefinitions"]],
        "billingMode": live.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "globalSecondaryIndexes": [
            _read_index(i, listed=i["IndexName"] in listed) for i in live.get("GlobalSecondaryIndexes", [])
        ],
        "serverSideEncryption": _read_encryption(live.get("SSEDescription", {})),
        "tableClass": live.get("TableClassSummary", {}).get("TableClass", "STANDARD"),
        "deletionProtectionEnabled": live.get("DeletionProtectionEnabled", False),
        "pointInTimeRecovery": _read_recovery(client, k["name"]),
        "ttl": _read_ttl(client, k["name"]),
    }


def _read_index(live: Props, *, listed: bool) -> Props:
    keys = {item["KeyType"]: item["AttributeName"] for item in live["KeySchema"]}
    schemas = [{"attributeName": item["AttributeName"], "keyType": item["KeyType"]} for item in live["KeySchema"]]
    found = {
        "name": live["IndexName"],
        **({"keySchemas": schemas} if listed else {"hashKey": keys["HASH"], "rangeKey": keys.get("RANGE")}),
        "projectionType": live["Projection"]["ProjectionType"],
        "nonKeyAttributes": live["Projection"].get("NonKeyAttributes"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _read_encryption(live: Props) -> Props | None:
    if live.get("Status") not in {"ENABLED", "ENABLING", "UPDATING"}:
        return None
    return {"enabled": True, "kmsKeyArn": live.get("KMSMasterKeyArn")}


def _read_recovery(client: Any, name: str) -> Props:
    live = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = live.get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
        return {"enabled": False}
    days = recovery.get("RecoveryPeriodInDays")
    return {"enabled": True, **({"recoveryPeriodInDays": days} if days else {})}


def _read_ttl(client: Any, name: str) -> Props | None:
    live = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if live.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
        return None
    return {"enabled": True, "attributeName": live["AttributeName"]}


def _update_table(s: Scope, k: Props, p: Props, change: Change) -> None:
    client, name = s("dynamodb"), k["name"]
    wanted: dict[str, Any] = {}
    if change.any("billingMode"):
        wanted["BillingMode"] = _MODE
    if change.any("serverSideEncryption"):
        wanted["SSESpecification"] = _encryption(p)
    if change.any("deletionProtectionEnabled"):
        wanted["DeletionProtectionEnabled"] = p.get("deletionProtectionEnabled", False)
    if wanted:
        client.update_table(TableName=name, **wanted)
        _wait_active(s, name)
    if change.any("globalSecondaryIndexes"):
        _update_indexes(s, name, p, change.old)
    if change.any("pointInTimeRecovery"):
        _set_recovery(s, name, p)
    if change.any("ttl"):
        _set_ttl(s, name, p, change.old)


def _update_indexes(s: Scope, name: str, p: Props, old: Props) -> None:
    """One change of an index at a time, as the service demands; a changed index is made again."""
    before = {i["name"]: i for i in old.get("globalSecondaryIndexes") or []}
    after = {i["name"]: i for i in p.get("globalSecondaryIndexes") or []}
    steps: list[dict[str, Any]] = [{"Delete": {"IndexName": n}} for n, i in before.items() if after.get(n) != i]
    steps += [{"Create": _index(i)} for n, i in after.items() if before.get(n) != i]
    for step in steps:
        s("dynamodb").update_table(
            TableName=name, AttributeDefinitions=_attributes(p), GlobalSecondaryIndexUpdates=[step]
        )
        _wait_active(s, name)


def _delete_table(s: Scope, k: Props) -> None:
    client = s("dynamodb")
    client.delete_table(TableName=k["name"])

    def gone() -> bool:
        try:
            client.describe_table(TableName=k["name"])
        except client.exceptions.ClientError as error:
            if is_missing(error):
                return True
            raise
        return False

    s.wait(gone, f"table {k['name']!r} to be deleted")


def _check_table(p: Props) -> Failures:
    if has_unknown([p["attributes"], p["hashKey"], p.get("rangeKey"), p.get("globalSecondaryIndexes")]):
        return []
    declared = {a["name"] for a in p["attributes"]}
    used = {key for key in (p["hashKey"], p.get("rangeKey")) if key is not None}
    for index in p.get("globalSecondaryIndexes") or []:
        if bool(index.get("hashKey")) == bool(index.get("keySchemas")):
            return [("globalSecondaryIndexes", f"index {index['name']!r} needs either 'hashKey' or 'keySchemas'")]
        used |= {key["AttributeName"] for key in _index_schema(index)}
    if declared != used:
        reason = f"attributes must be the keys of the table and its indexes: {sorted(used)}, not {sorted(declared)}"
        return [("attributes", reason)]
    if p.get("billingMode") != _MODE:
        return [("billingMode", f"the local AWS plugin serves tables of billingMode {_MODE}")]
    return []


_NO_INDEX = ("onDemandThroughput", "warmThroughput", "readCapacity", "writeCapacity")

TABLE = Resource(
    "aws:dynamodb/table:Table",
    props={
        "name": Prop(replace=True, computed=True),
        "attributes": Prop(unordered=True),
        "hashKey": Prop(replace=True),
        "rangeKey": Prop(replace=True),
        "billingMode": Prop(),
        "globalSecondaryIndexes": Prop(unordered=True, without=_NO_INDEX),
        "pointInTimeRecovery": Prop(default={"enabled": False}, inner={"recoveryPeriodInDays": ...}),
        "serverSideEncryption": Prop(default={"enabled": False}, inner={"kmsKeyArn": ...}),
        "ttl": Prop(inner={"enabled": True}),
        "deletionProtectionEnabled": Prop(default=False),
    },
    ident="name",
    outputs=("arn", "tableClass"),
    name=Name(limit=255),
    tags=_TAGS,
    required=("attributes", "hashKey"),
    check=_check_table,
    create=_create_table,
    settle=_settle_table,
    read=_read_table,
    update=_update_table,
    delete=_delete_table,
)

RESOURCES = (TABLE,)
