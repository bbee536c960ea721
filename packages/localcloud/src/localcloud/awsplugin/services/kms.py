"""AWS KMS keys."""

from __future__ import annotations

from typing import Any

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.spec import Change, Failures, Names, Prop, Resource, TagApi
from localcloud.awsplugin.wire import Props

KEY = Names(
    "aws:kms/key:Key",
    {
        "customerMasterKeySpec": "KeySpec",
        "bypassPolicyLockoutSafetyCheck": "BypassPolicyLockoutSafetyCheck",
    },
)
_KEY_TAGS = TagApi(
    "list_resource_tags", "tag_resource", "untag_resource", "KeyId", at="keyId", pair=("TagKey", "TagValue")
)


def _create_key(s: Scope, p: Props) -> Props:
    names = ("description", "keyUsage", "customerMasterKeySpec", "policy", "multiRegion")
    wanted = KEY.request(p, *names, "bypassPolicyLockoutSafetyCheck")
    made = s("kms").create_key(**wanted, Tags=_KEY_TAGS.pack(p["tags"]))["KeyMetadata"]
    return {"keyId": made["KeyId"], "arn": made["Arn"]}


def _settle_key(s: Scope, k: Props, p: Props) -> None:
    if p.get("enableKeyRotation"):
        _set_rotation(s, k["keyId"], p)
    if p.get("isEnabled") is False:
        s("kms").disable_key(KeyId=k["keyId"])


def _set_rotation(s: Scope, key: str, p: Props) -> None:
    if p.get("enableKeyRotation"):
        s("kms").enable_key_rotation(KeyId=key, **KEY.request(p, "rotationPeriodInDays"))
    else:
        s("kms").disable_key_rotation(KeyId=key)


def _read_key(s: Scope, k: Props) -> Props | None:
    kms = s("kms")
    live = kms.describe_key(KeyId=k["keyId"])["KeyMetadata"]
    if live["KeyState"] in {"PendingDeletion", "PendingReplicaDeletion"}:
        return None
    symmetric = live.get("KeySpec", "SYMMETRIC_DEFAULT") == "SYMMETRIC_DEFAULT"
    rotation: dict[str, Any] = kms.get_key_rotation_status(KeyId=k["keyId"]) if symmetric else {}
    rotates = rotation.get("KeyRotationEnabled", False)
    return {
        "keyId": live["KeyId"],
        "arn": live["Arn"],
        "isEnabled": live["KeyState"] == "Enabled",
        "enableKeyRotation": rotates,
        "rotationPeriodInDays": rotation.get("RotationPeriodInDays") if rotates else None,
        "policy": kms.get_key_policy(KeyId=k["keyId"], PolicyName="default")["Policy"],
        **KEY.state(live, "description", "keyUsage", "customerMasterKeySpec", "multiRegion"),
    }


def _update_key(s: Scope, k: Props, p: Props, change: Change) -> None:
    kms, key = s("kms"), k["keyId"]
    if change.any("isEnabled") and p.get("isEnabled", True):
        kms.enable_key(KeyId=key)  # before the rest: a disabled key takes no change
    if change.any("description"):
        kms.update_key_description(KeyId=key, Description=p.get("description", ""))
    if change.any("policy") and "policy" in p:
        bypass = KEY.request(p, "bypassPolicyLockoutSafetyCheck")
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=p["policy"], **bypass)
    if change.any("enableKeyRotation", "rotationPeriodInDays"):
        _set_rotation(s, key, p)
    if change.any("isEnabled") and not p.get("isEnabled", True):
        kms.disable_key(KeyId=key)


def _check_key(p: Props) -> Failures:
    if "rotationPeriodInDays" in p and not p.get("enableKeyRotation"):
        return [("rotationPeriodInDays", "a rotation period needs enableKeyRotation: true")]
    return []


def _delete_key(s: Scope, k: Props) -> None:
    s("kms").schedule_key_deletion(KeyId=k["keyId"], PendingWindowInDays=k.get("deletionWindowInDays") or 30)


RESOURCE_KEY = Resource(
    "aws:kms/key:Key",
    props={
        "description": Prop(computed=True),
        "policy": Prop(json=True, computed=True),
        "isEnabled": Prop(default=True),
        "enableKeyRotation": Prop(default=False),
        "rotationPeriodInDays": Prop(computed=True),
        "keyUsage": Prop(
            replace=True,
            default="ENCRYPT_DECRYPT",
            one_of=("ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"),
        ),
        "customerMasterKeySpec": Prop(replace=True, default="SYMMETRIC_DEFAULT"),
        "multiRegion": Prop(replace=True, default=False),
        "bypassPolicyLockoutSafetyCheck": Prop(local=True, default=False),
        "deletionWindowInDays": Prop(local=True, one_of=tuple(range(7, 31))),
    },
    ident="keyId",
    outputs=("arn", "keyId"),
    tags=_KEY_TAGS,
    check=_check_key,
    create=_create_key,
    settle=_settle_key,
    read=_read_key,
    update=_update_key,
    delete=_delete_key,
)


RESOURCES = (RESOURCE_KEY,)
