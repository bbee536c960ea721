"""Amazon S3 buckets and their sub-resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.failures import Failure, code_of
from localcloud.awsplugin.spec import Failures, Name, Names, Prop, Resource
from localcloud.awsplugin.wire import UNKNOWN, Props

# Source: https://docs.aws.amazon.com/general/latest/gr/s3.html
_HOSTED_ZONES = {
    "us-east-1": "Z3AQBSTGFYJSTF",
    "us-east-2": "Z2O1EMRO9K5GLX",
    "us-west-1": "Z2F56UZL2M1ACD",
    "us-west-2": "Z3BJ6K6RIION7M",
    "eu-central-1": "Z21DNDUVLTQW6Q",
    "eu-west-1": "Z1BKCTXD74EZPE",
    "eu-west-2": "Z3GKZC51ZF0DB4",
    "eu-west-3": "Z3R1K369G5AVDG",
    "eu-north-1": "Z3BAZG2TWCNX0D",
    "ap-northeast-1": "Z2M4EHUR26P7ZW",
    "ap-southeast-1": "Z3O0J2DXBE1FTB",
    "ap-southeast-2": "Z1WCIGYICN2BYD",
}


def _create_bucket(s: Scope, p: Props) -> None:
    where = {} if s.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": s.region}}
    lock = {"ObjectLockEnabledForBucket": True} if p.get("objectLockEnabled") else {}
    client = s("s3")
    if s.region == "us-east-1" and _exists(client, p["bucket"]):  # CreateBucket would answer 200 and adopt it
        raise Failure(f"bucket {p['bucket']!r} already exists; import it, or choose another name")
    client.create_bucket(Bucket=p["bucket"], **where, **lock)


def _exists(client: Any, bucket: str) -> bool:
    try:
        client.head_bucket(Bucket=bucket)
    except client.exceptions.ClientError as error:
        if code_of(error) in {"404", "NoSuchBucket"}:
            return False
        raise
    return True


class _BucketTags:
    """S3 holds the tags of a bucket as one document."""

    def read(self, client: Any, known: Props) -> dict[str, str]:
        try:
            found = client.get_bucket_tagging(Bucket=known["bucket"])["TagSet"]
        except client.exceptions.ClientError as error:
            if code_of(error) == "NoSuchTagSet":
                return {}
            raise
        return {tag["Key"]: tag["Value"] for tag in found}

    def write(self, client: Any, known: Props, wanted: Mapping[str, str]) -> None:
        if wanted:
            client.put_bucket_tagging(Bucket=known["bucket"], Tagging={"TagSet": self.pack(wanted)})
        else:
            client.delete_bucket_tagging(Bucket=known["bucket"])

    def pack(self, tags: Mapping[str, str]) -> Any:
        return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


_TAGS = _BucketTags()


def _settle_bucket(s: Scope, k: Props, p: Props) -> None:
    if p["tags"]:
        _TAGS.write(s("s3"), k, p["tags"])


def _read_bucket(s: Scope, k: Props) -> Props:
    bucket = k["bucket"]
    s("s3").head_bucket(Bucket=bucket)
    return {
        "bucket": bucket,
        "arn": f"arn:{s.partition}:s3:::{bucket}",
        "bucketDomainName": f"{bucket}.s3.amazonaws.com",
        "bucketNamespace": "global",
        "bucketRegion": s.region,
        "bucketRegionalDomainName": f"{bucket}.s3.{s.region}.amazonaws.com",
        "hostedZoneId": _HOSTED_ZONES.get(s.region),
        "objectLockEnabled": _lock_enabled(s, bucket),
    }


def _lock_enabled(s: Scope, bucket: str) -> bool:
    client = s("s3")
    try:
        found = client.get_object_lock_configuration(Bucket=bucket)
    except client.exceptions.ClientError as error:
        if code_of(error) in {"ObjectLockConfigurationNotFoundError", "NotImplemented", "MethodNotAllowed"}:
            return False
        raise
    return found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"


def _delete_bucket(s: Scope, k: Props) -> None:
    if k.get("forceDestroy"):
        _empty(s("s3"), k["bucket"])
    s("s3").delete_bucket(Bucket=k["bucket"])


def _empty(client: Any, bucket: str) -> None:
    """Delete every version, delete marker and unfinished upload."""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        doomed = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
        if doomed:
            answer = client.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise Failure(
                    f"emptying bucket {bucket!r}: {first['Key']}: {first['Code']}: {first.get('Message', '')}"
                )
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


BUCKET = Resource(
    "aws:s3/bucket:Bucket",
    props={
        "bucket": Prop(replace=True, computed=True),
        "bucketPrefix": Prop(replace=True, local=True),
        "objectLockEnabled": Prop(replace=True, default=False),
        "forceDestroy": Prop(local=True, default=False),
    },
    ident="bucket",
    outputs=(
        *("arn", "bucketDomainName", "bucketNamespace", "bucketRegion", "bucketRegionalDomainName", "hostedZoneId"),
    ),
    name=Name("bucket", limit=63, lower=True, prefix="bucketPrefix"),
    tags=_TAGS,
    create=_create_bucket,
    settle=_settle_bucket,
    read=_read_bucket,
    delete=_delete_bucket,
)


VERSIONING = Names("aws:s3/bucketVersioning:BucketVersioning", {"mfaDelete": "MFADelete"})


def _put_versioning(s: Scope, p: Props) -> None:
    wanted = VERSIONING.request(p, "versioningConfiguration")["VersioningConfiguration"]
    if wanted["Status"] != "Disabled":  # a new bucket is that already, and S3 has no such request
        s("s3").put_bucket_versioning(Bucket=p["bucket"], VersioningConfiguration=wanted)


def _read_versioning(s: Scope, k: Props) -> Props:
    live = s("s3").get_bucket_versioning(Bucket=k["bucket"])
    found = VERSIONING.state({"VersioningConfiguration": live}, "versioningConfiguration")["versioningConfiguration"]
    return {"bucket": k["bucket"], "versioningConfiguration": {"status": "Disabled", "mfaDelete": "Disabled", **found}}


def _suspend_versioning(s: Scope, k: Props) -> None:
    if s("s3").get_bucket_versioning(Bucket=k["bucket"]).get("Status") == "Enabled":
        s("s3").put_bucket_versioning(Bucket=k["bucket"], VersioningConfiguration={"Status": "Suspended"})


def _check_versioning(p: Props) -> Failures:
    wanted = p["versioningConfiguration"]
    status = wanted["status"] if wanted is not UNKNOWN else UNKNOWN
    if status is UNKNOWN or status in {"Enabled", "Suspended", "Disabled"}:
        return []
    return [("versioningConfiguration.status", f"{status!r} is not one of Enabled, Suspended, Disabled")]


BUCKET_VERSIONING = Resource(
    "aws:s3/bucketVersioning:BucketVersioning",
    props={
        "bucket": Prop(replace=True),
        "versioningConfiguration": Prop(inner={"mfaDelete": ...}),
    },
    ident="bucket",
    identity=("bucket",),
    check=_check_versioning,
    create=_put_versioning,
    read=_read_versioning,
    update=lambda s, k, p, _: _put_versioning(s, p),
    delete=_suspend_versioning,
)


ENCRYPTION = Names(
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"},
)


def _put_encryption(s: Scope, p: Props) -> None:
    wanted = ENCRYPTION.request(p, "rules")
    s("s3").put_bucket_encryption(Bucket=p["bucket"], ServerSideEncryptionConfiguration=wanted)


def _read_encryption(s: Scope, k: Props) -> Props:
    live = s("s3").get_bucket_encryption(Bucket=k["bucket"])["ServerSideEncryptionConfiguration"]
    return {"bucket": k["bucket"], **ENCRYPTION.state(live, "rules")}


BUCKET_ENCRYPTION = Resource(
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    props={
        "bucket": Prop(replace=True),
        "rules": Prop(inner={"bucketKeyEnabled": False, "blockedEncryptionTypes": ...}),
    },
    ident="bucket",
    identity=("bucket",),
    create=_put_encryption,
    read=_read_encryption,
    update=lambda s, k, p, _: _put_encryption(s, p),
    delete=lambda s, k: s("s3").delete_bucket_encryption(Bucket=k["bucket"]),
)


LIFECYCLE = Names("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", {"id": "ID"})


def _put_lifecycle(s: Scope, p: Props) -> None:
    wanted = LIFECYCLE.request(p, "rules")
    s("s3").put_bucket_lifecycle_configuration(Bucket=p["bucket"], LifecycleConfiguration=wanted)


def _read_lifecycle(s: Scope, k: Props) -> Props:
    live = s("s3").get_bucket_lifecycle_configuration(Bucket=k["bucket"])
    smallest = live.get("TransitionDefaultMinimumObjectSize", "all_storage_classes_128K")
    return {
        "bucket": k["bucket"],
        "transitionDefaultMinimumObjectSize": smallest,
        **LIFECYCLE.state(live, "rules"),
    }


BUCKET_LIFECYCLE = Resource(
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    props={
        "bucket": Prop(replace=True),
        "rules": Prop(
            without=(
                *("prefix", "transitions", "noncurrentVersionTransitions", "expiration.date"),
                *("filter.and", "filter.tag", "filter.objectSizeGreaterThan", "filter.objectSizeLessThan"),
            ),
        ),
    },
    ident="bucket",
    identity=("bucket",),
    outputs=("transitionDefaultMinimumObjectSize",),
    create=_put_lifecycle,
    read=_read_lifecycle,
    update=lambda s, k, p, _: _put_lifecycle(s, p),
    delete=lambda s, k: s("s3").delete_bucket_lifecycle(Bucket=k["bucket"]),
)


ACCESS_BLOCK = Names("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def _put_access_block(s: Scope, p: Props) -> None:
    wanted = ACCESS_BLOCK.request({name: p.get(name, False) for name in _BLOCKS}, *_BLOCKS)
    s("s3").put_public_access_block(Bucket=p["bucket"], PublicAccessBlockConfiguration=wanted)


def _read_access_block(s: Scope, k: Props) -> Props:
    live = s("s3").get_public_access_block(Bucket=k["bucket"])["PublicAccessBlockConfiguration"]
    return {"bucket": k["bucket"], **dict.fromkeys(_BLOCKS, False), **ACCESS_BLOCK.state(live, *_BLOCKS)}


BUCKET_PUBLIC_ACCESS_BLOCK = Resource(
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    props={
        "bucket": Prop(replace=True),
        **{name: Prop(default=False) for name in _BLOCKS},
        "skipDestroy": Prop(local=True, default=False),
    },
    ident="bucket",
    identity=("bucket",),
    create=_put_access_block,
    read=_read_access_block,
    update=lambda s, k, p, _: _put_access_block(s, p),
    delete=lambda s, k: s("s3").delete_public_access_block(Bucket=k["bucket"]),
)


def _put_policy(s: Scope, p: Props) -> None:
    s("s3").put_bucket_policy(Bucket=p["bucket"], Policy=p["policy"])


BUCKET_POLICY = Resource(
    "aws:s3/bucketPolicy:BucketPolicy",
    props={"bucket": Prop(replace=True), "policy": Prop(json=True)},
    ident="bucket",
    identity=("bucket",),
    create=_put_policy,
    read=lambda s, k: {"bucket": k["bucket"], "policy": s("s3").get_bucket_policy(Bucket=k["bucket"])["Policy"]},
    update=lambda s, k, p, _: _put_policy(s, p),
    delete=lambda s, k: s("s3").delete_bucket_policy(Bucket=k["bucket"]),
)


# Property -> what the service calls the list, and a target's address in it.
_NOTIFIED = {
    "lambdaFunctions": ("LambdaFunctionConfigurations", "LambdaFunctionArn", "lambdaFunctionArn"),
    "queues": ("QueueConfigurations", "QueueArn", "queueArn"),
    "topics": ("TopicConfigurations", "TopicArn", "topicArn"),
}


def _put_notification(s: Scope, p: Props) -> None:
    """S3 holds the notifications of a bucket as one document, so this is all of them."""
    wanted: dict[str, Any] = {"EventBridgeConfiguration": {}} if p.get("eventbridge") else {}
    for name, (member, arn, ours) in _NOTIFIED.items():
        if p.get(name):
            wanted[member] = [_notified(item, arn, ours) for item in p[name]]
    s("s3").put_bucket_notification_configuration(Bucket=p["bucket"], NotificationConfiguration=wanted)


def _notified(given: Props, arn: str, ours: str) -> dict[str, Any]:
    filters = [("prefix", given.get("filterPrefix")), ("suffix", given.get("filterSuffix"))]
    rules = [{"Name": name, "Value": value} for name, value in filters if value]
    return {
        arn: given[ours],
        "Events": given["events"],
        **({"Id": given["id"]} if given.get("id") else {}),
        **({"Filter": {"Key": {"FilterRules": rules}}} if rules else {}),
    }


def _read_notification(s: Scope, k: Props) -> Props | None:
    live = s("s3").get_bucket_notification_configuration(Bucket=k["bucket"])
    found = {
        name: [_read_notified(item, arn, ours) for item in live.get(member, [])]
        for name, (member, arn, ours) in _NOTIFIED.items()
    }
    eventbridge = "EventBridgeConfiguration" in live
    if not eventbridge and not any(found.values()):
        return None  # every bucket has the empty document
    return {"bucket": k["bucket"], "eventbridge": eventbridge, **found}


def _read_notified(live: Props, arn: str, ours: str) -> Props:
    rules = live.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    filters = {f"filter{rule['Name'].capitalize()}": rule["Value"] for rule in rules}
    return {ours: live[arn], "events": live["Events"], "id": live.get("Id"), **filters}


def _check_notification(p: Props) -> Failures:
    if not p.get("eventbridge") and not any(p.get(name) for name in _NOTIFIED):
        return [("lambdaFunctions", "a notification needs 'eventbridge', 'lambdaFunctions', 'queues' or 'topics'")]
    return [
        (f"{name}[{position}].{ours}", f"a notification in {name!r} needs {ours!r}")
        for name, (_, _, ours) in _NOTIFIED.items()
        if p.get(name) and p[name] is not UNKNOWN
        for position, item in enumerate(p[name])
        if item is not UNKNOWN and ours not in item
    ]


BUCKET_NOTIFICATION = Resource(
    "aws:s3/bucketNotification:BucketNotification",
    props={
        "bucket": Prop(replace=True),
        "eventbridge": Prop(default=False),
        **{name: Prop(unordered=True, inner={"id": ...}) for name in _NOTIFIED},
    },
    ident="bucket",
    identity=("bucket",),
    check=_check_notification,
    create=_put_notification,
    read=_read_notification,
    update=lambda s, k, p, _: _put_notification(s, p),
    delete=lambda s, k: s("s3").put_bucket_notification_configuration(Bucket=k["bucket"], NotificationConfiguration={}),
)

RESOURCES = (
    BUCKET,
    BUCKET_VERSIONING,
    BUCKET_ENCRYPTION,
    BUCKET_LIFECYCLE,
    BUCKET_PUBLIC_ACCESS_BLOCK,
    BUCKET_POLICY,
    BUCKET_NOTIFICATION,
)
