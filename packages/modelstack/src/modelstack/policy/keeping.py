"""Rules on retention, recovery and ownership of stored data."""

from __future__ import annotations

from collections.abc import Iterator

from modelstack.policy import tokens
from modelstack.policy.rule import UNKNOWN, Declared, ResourceRule, items_at, value_at

TAGS = ("project", "owner")
_TAGGABLE = frozenset(
    {
        *(tokens.BUCKET, tokens.COMPOSITE_ALARM, tokens.CONFIG, tokens.ENDPOINT, tokens.EVENT_RULE, tokens.FUNCTION),
        *(tokens.GROUP, tokens.KEY, tokens.LOG, tokens.METRIC_ALARM, tokens.MODEL, tokens.QUEUE),
        *(tokens.REPOSITORY, tokens.ROLE, tokens.TABLE, tokens.TOPIC),
    }
)


def _logs_end(log: Declared) -> Iterator[str]:
    if not log.get("retentionInDays"):
        yield "its lines are kept for ever"


def _expires(lifecycle: Declared) -> Iterator[str]:
    on = [rule for rule in items_at(lifecycle.values, "rules") if value_at(rule, "status") == "Enabled"]
    if not any(value_at(rule, "expiration", "days") or value_at(rule, "expiration", "date") for rule in on):
        yield "no rule lets anything expire"
    if not any(value_at(rule, "noncurrentVersionExpiration") for rule in on):
        yield "old versions are kept for ever"


def _recoverable(resource: Declared) -> Iterator[str]:
    if resource.type == tokens.TABLE:
        if not resource.get("pointInTimeRecovery", "enabled"):
            yield "it has no recovery to a point in time"
    elif resource.get("versioningConfiguration", "status") != "Enabled":
        yield "versions are not kept"


def _owned(resource: Declared) -> Iterator[str]:
    own = resource.get("tags") or {}
    for name in TAGS:
        value = own.get(name, resource.default_tags.get(name))
        if value is not UNKNOWN and not value:
            yield f"it has no tag {name!r}"


RULES = (
    ResourceRule(
        name="logs-end",
        requires="Log groups say how long their lines are kept.",
        control="Security Hub CloudWatch.16",
        fix="Set retentionInDays.",
        types=frozenset({tokens.LOG}),
        check=_logs_end,
    ),
    ResourceRule(
        name="objects-end",
        requires="A bucket's lifecycle lets objects and old versions expire.",
        control="Security Hub S3.13, NIST AI RMF MEASURE 2.10",
        fix="Add a rule with expiration, and one with noncurrentVersionExpiration.",
        types=frozenset({tokens.BUCKET_LIFECYCLE}),
        check=_expires,
    ),
    ResourceRule(
        name="recoverable",
        requires="Tables can be set back to any point in time, and buckets keep versions.",
        control="Security Hub DynamoDB.2, S3.14",
        fix="Set pointInTimeRecovery of a table, versioningConfiguration of a bucket.",
        types=frozenset({tokens.TABLE, tokens.BUCKET_VERSIONING}),
        check=_recoverable,
    ),
    ResourceRule(
        name="owned",
        requires=f"Every resource that takes tags says its {' and its '.join(TAGS)}.",
        control="NIST AI RMF GOVERN 1.6, GOVERN 2.1",
        fix="Set aws:defaultTags in the stack's config.",
        types=_TAGGABLE,
        check=_owned,
    ),
)
