"""The operations on alarms, their history and tags."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from localcloud.cloudwatch import history, paging
from localcloud.cloudwatch.alarms import (
    ACTION_LISTS,
    COMPOSITE_ALARM,
    METRIC_ALARM,
    Alarm,
    check_actions,
    check_tags,
    describe,
    refuse_unsupported,
)
from localcloud.cloudwatch.book import AlarmBook
from localcloud.cloudwatch.composite import parse_rule
from localcloud.cloudwatch.database import Database
from localcloud.cloudwatch.errors import (
    CloudWatchError,
    invalid_combination,
    not_found,
    tagged_resource_not_found,
    validation_error,
)
from localcloud.cloudwatch.queries import MetricQuery, metric_key, metric_queries
from localcloud.cloudwatch.tags import Tags

_PAGE = 50
_HISTORY_PAGE = 100
_MAX_TAGS = 50
_FILTERS = ("AlarmNamePrefix", "AlarmTypes", "StateValue", "ActionPrefix", "AlarmNames")
Request = Mapping[str, Any]


class AlarmOperations:
    """The operations on alarms."""

    def __init__(self, database: Database, book: AlarmBook, tags: Tags) -> None:
        self._database = database
        self._book = book
        self._tags = tags

    async def put_metric_alarm(self, request: Request) -> dict[str, Any]:
        """Create or redefine an alarm on a metric or on metric math."""
        await self._define(METRIC_ALARM, request)
        return {}

    async def put_composite_alarm(self, request: Request) -> dict[str, Any]:
        """Create or redefine an alarm on other alarms."""
        refuse_unsupported(request)
        check_actions(request)
        name = request["AlarmName"]
        self._check_kind(name, COMPOSITE_ALARM)
        children = parse_rule(request["AlarmRule"]).children
        unknown = sorted(children - self._book.alarms.keys())
        if unknown:
            raise validation_error(f"AlarmRule asks about alarms that do not exist: {', '.join(unknown)}")
        if name in children or any(self._depends(child, name) for child in children):
            raise validation_error(f"AlarmRule makes {name!r} depend on itself")
        await self._define(COMPOSITE_ALARM, request)
        return {}

    async def _define(self, kind: str, request: Request) -> None:
        self._check_kind(request["AlarmName"], kind)
        tags = request.get("Tags", [])
        check_tags(tags)
        alarm = self._book.make(kind, dict(request))
        if await self._book.define(alarm) and tags:
            await self._tags.add(alarm.arn, tags)

    def _check_kind(self, name: str, kind: str) -> None:
        present = self._book.alarms.get(name)
        if present is not None and present.kind != kind:
            raise validation_error(f"{name!r} is already the name of a {present.kind}")

    def _depends(self, name: str, on: str) -> bool:
        return any(child.name == on or self._depends(child.name, on) for child in self._book.children(name))

    async def describe_alarms(self, request: Request) -> dict[str, Any]:
        """Alarms by name; composite ones only when they are asked for."""
        alarms = self._selected(request)
        shown, more = paging.page(request, alarms, request.get("MaxRecords", _PAGE))
        # A parent or child is described by its ARN only, as on AWS.
        brief = "ChildrenOfAlarmName" in request or "ParentsOfAlarmName" in request
        by_kind: dict[str, list[dict[str, Any]]] = {METRIC_ALARM: [], COMPOSITE_ALARM: []}
        for alarm in shown:
            by_kind[alarm.kind].append(_brief(alarm) if brief else describe(alarm))
        return {"MetricAlarms": by_kind[METRIC_ALARM], "CompositeAlarms": by_kind[COMPOSITE_ALARM], **more}

    def _selected(self, request: Request) -> list[Alarm]:
        for member, related in (
            ("ChildrenOfAlarmName", self._book.children),
            ("ParentsOfAlarmName", self._book.parents),
        ):
            if member in request:
                other = [name for name in _FILTERS if name in request]
                if other:
                    raise invalid_combination(f"{member} cannot be given together with {other[0]}")
                if request[member] not in self._book.alarms:
                    raise not_found(f"Alarm {request[member]!r} does not exist")
                return related(request[member])
        if "AlarmNames" in request and "AlarmNamePrefix" in request:
            raise invalid_combination("AlarmNames and AlarmNamePrefix cannot be given together")
        kinds = request.get("AlarmTypes") or [METRIC_ALARM]
        names = sorted(set(request["AlarmNames"])) if "AlarmNames" in request else sorted(self._book.alarms)
        alarms = [self._book.alarms[name] for name in names if name in self._book.alarms]
        return [alarm for alarm in alarms if alarm.kind in kinds and _passes(alarm, request)]

    async def describe_alarms_for_metric(self, request: Request) -> dict[str, Any]:
        """Alarms that watch exactly one metric, dimensions included."""
        key = metric_key(request["Namespace"], request["MetricName"], request.get("Dimensions", []))
        wanted = request.get("Statistic") or request.get("ExtendedStatistic")

        def reads(alarm: Alarm) -> bool:
            return any(_same(query, request, wanted) for query in metric_queries(alarm.queries) if query.key == key)

        alarms = [alarm for _, alarm in sorted(self._book.alarms.items()) if reads(alarm)]
        return {"MetricAlarms": [describe(alarm) for alarm in alarms]}

    async def describe_alarm_history(self, request: Request) -> dict[str, Any]:
        """What happened to alarms, newest first unless asked otherwise."""
        if "AlarmContributorId" in request:
            raise validation_error("AlarmContributorId is not supported: alarms have no contributors here")
        start, size = paging.offset(request), request.get("MaxRecords", _HISTORY_PAGE)
        items = await self._database.read(lambda connection: history.select(connection, request, size + 1, start))
        more = {"NextToken": paging.token(request, start + size)} if len(items) > size else {}
        return {"AlarmHistoryItems": [item.describe() for item in items[:size]], **more}

    async def delete_alarms(self, request: Request) -> dict[str, Any]:
        """Delete alarms; those that do not exist are an error after the others are deleted, as on AWS."""
        names = list(dict.fromkeys(request["AlarmNames"]))
        present = [name for name in names if name in self._book.alarms]
        if sum(self._book.alarms[name].kind == COMPOSITE_ALARM for name in present) > 1:
            raise validation_error("at most one composite alarm can be deleted at a time")
        for name in present:
            parents = [parent.name for parent in self._book.parents(name) if parent.name not in names]
            if parents:
                raise validation_error(f"{name!r} cannot be deleted: the rules of {', '.join(parents)} ask about it")
        arns = [self._book.alarms[name].arn for name in present]
        await self._book.delete(present)
        for arn in arns:
            await self._tags.forget(arn)
        unknown = [name for name in names if name not in present]
        if unknown:
            raise not_found(f"These alarms do not exist: {', '.join(unknown)}")
        return {}

    async def enable_alarm_actions(self, request: Request) -> dict[str, Any]:
        """Let state changes lead to actions; names that do not exist do not matter, as on AWS."""
        await self._switch(request["AlarmNames"], True)
        return {}

    async def disable_alarm_actions(self, request: Request) -> dict[str, Any]:
        """Let state changes lead to no actions."""
        await self._switch(request["AlarmNames"], False)
        return {}

    async def _switch(self, names: Sequence[str], enabled: bool) -> None:
        await self._book.enable_actions([name for name in names if name in self._book.alarms], enabled)

    async def set_alarm_state(self, request: Request) -> dict[str, Any]:
        """Put an alarm into a state until its next evaluation."""
        name, data = request["AlarmName"], request.get("StateReasonData")
        if name not in self._book.alarms:
            raise not_found(f"Alarm {name!r} does not exist")
        if data is not None:
            try:
                json.loads(data)
            except ValueError:
                raise CloudWatchError("InvalidFormat", "InvalidFormatFault", "StateReasonData is no JSON") from None
        await self._book.set_state(name, request["StateValue"], request["StateReason"], data)
        return {}

    def exists(self, arn: str) -> bool:
        """Whether an ARN is that of an alarm."""
        return any(alarm.arn == arn for alarm in self._book.alarms.values())


class TagOperations:
    """The operations on tags of alarms and dashboards; `exists` says whether an ARN is that of one."""

    def __init__(self, tags: Tags, exists: Any) -> None:
        self._tags = tags
        self._exists = exists

    async def tag_resource(self, request: Request) -> dict[str, Any]:
        """Give a resource tags."""
        arn = await self._existing(request["ResourceARN"])
        check_tags(request["Tags"])
        keys = {tag["Key"] for tag in [*await self._tags.of(arn), *request["Tags"]]}
        if len(keys) > _MAX_TAGS:
            raise validation_error(f"the resource would have {len(keys)} tags; at most {_MAX_TAGS} are allowed")
        await self._tags.add(arn, request["Tags"])
        return {}

    async def untag_resource(self, request: Request) -> dict[str, Any]:
        """Take tags from a resource."""
        await self._tags.remove(await self._existing(request["ResourceARN"]), request["TagKeys"])
        return {}

    async def list_tags_for_resource(self, request: Request) -> dict[str, Any]:
        """Tags of a resource."""
        return {"Tags": await self._tags.of(await self._existing(request["ResourceARN"]))}

    async def _existing(self, arn: str) -> str:
        if not await self._exists(arn):
            raise tagged_resource_not_found(arn)
        return arn


def _passes(alarm: Alarm, request: Request) -> bool:
    if request.get("StateValue", alarm.state.value) != alarm.state.value:
        return False
    if not alarm.name.startswith(request.get("AlarmNamePrefix", "")):
        return False
    prefix = request.get("ActionPrefix")
    return prefix is None or any(arn.startswith(prefix) for state in ACTION_LISTS for arn in alarm.actions(state))


def _same(query: MetricQuery, request: Request, wanted: str | None) -> bool:
    return (
        (wanted is None or query.statistic.name == wanted)
        and request.get("Period", query.period) == query.period
        and request.get("Unit", query.unit) == query.unit
    )


def _brief(alarm: Alarm) -> dict[str, Any]:
    state = alarm.state
    return {
        "AlarmName": alarm.name,
        "AlarmArn": alarm.arn,
        "StateValue": state.value,
        "StateUpdatedTimestamp": state.updated,
    }
