"""Amazon CloudWatch alarms and dashboards."""

from __future__ import annotations

from typing import Any

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.failures import Failure
from localcloud.awsplugin.spec import Failures, Name, Names, Prop, Resource, TagApi
from localcloud.awsplugin.wire import Props, has_unknown

ALARM = Names(
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    {
        "name": "AlarmName",
        "okActions": "OKActions",
        "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
        "metricQueries": "Metrics",
        "metricQueries.metric": "MetricStat",
    },
)
_TAGS = TagApi("list_tags_for_resource", "tag_resource", "untag_resource", "ResourceARN")
_PLAIN = (
    "name",
    "alarmDescription",
    "actionsEnabled",
    "alarmActions",
    "okActions",
    "insufficientDataActions",
    "comparisonOperator",
    "evaluationPeriods",
    "datapointsToAlarm",
    "threshold",
    "thresholdMetricId",
    "treatMissingData",
    "metricName",
    "namespace",
    "statistic",
    "extendedStatistic",
    "period",
    "unit",
    "evaluateLowSampleCountPercentiles",
    "warmUpConfiguration",
)
_OPERATORS = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
)


def _pairs(dimensions: Props) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in sorted(dimensions.items())]


def _unpaired(dimensions: list[dict[str, str]]) -> dict[str, str]:
    return {item["Name"]: item["Value"] for item in dimensions}


def _query(given: Props) -> dict[str, Any]:
    """One metric query; the SDK's metric is the service's MetricStat with the metric inside."""
    found: dict[str, Any] = {"Id": given["id"], "ReturnData": given.get("returnData", False)}
    for name in ("accountId", "expression", "label", "period"):
        if given.get(name):
            found[name[0].upper() + name[1:]] = given[name]
    if given.get("metric"):
        wanted = given["metric"]
        metric = {"Namespace": wanted.get("namespace"), "MetricName": wanted["metricName"]}
        found["MetricStat"] = {
            "Metric": {**metric, "Dimensions": _pairs(wanted.get("dimensions", {}))},
            "Period": wanted["period"],
            "Stat": wanted["stat"],
            **({"Unit": wanted["unit"]} if wanted.get("unit") else {}),
        }
    return found


def _read_query(live: Props) -> Props:
    found: Props = {"id": live["Id"], "returnData": live.get("ReturnData", True)}
    for name in ("accountId", "expression", "label", "period"):
        member = name[0].upper() + name[1:]
        if live.get(member):
            found[name] = live[member]
    if live.get("MetricStat"):
        stat = live["MetricStat"]
        found["metric"] = {
            "namespace": stat["Metric"].get("Namespace"),
            "metricName": stat["Metric"]["MetricName"],
            "dimensions": _unpaired(stat["Metric"].get("Dimensions", [])),
            "period": stat["Period"],
            "stat": stat["Stat"],
            "unit": stat.get("Unit"),
        }
    return found


def _put_alarm(s: Scope, p: Props) -> dict[str, Any]:
    wanted = ALARM.request(p, *_PLAIN)
    if "dimensions" in p:
        wanted["Dimensions"] = _pairs(p["dimensions"])
    if p.get("metricQueries"):
        wanted["Metrics"] = [_query(item) for item in p["metricQueries"]]
    return wanted


def _create_alarm(s: Scope, p: Props) -> Props:
    client = s("cloudwatch")
    if client.describe_alarms(AlarmNames=[p["name"]])["MetricAlarms"]:  # PutMetricAlarm would take it over
        raise Failure(f"alarm {p['name']!r} already exists; import it, or choose another name")
    client.put_metric_alarm(**_put_alarm(s, p), Tags=_TAGS.pack(p["tags"]))
    return {"arn": s.arn("cloudwatch", f"alarm:{p['name']}")}


def _read_alarm(s: Scope, k: Props) -> Props | None:
    found = s("cloudwatch").describe_alarms(AlarmNames=[k["name"]], AlarmTypes=["MetricAlarm"])["MetricAlarms"]
    if not found:
        return None
    live = found[0]
    return {
        **ALARM.state(live, *_PLAIN),
        "arn": live["AlarmArn"],
        "dimensions": _unpaired(live.get("Dimensions", [])),
        "metricQueries": [_read_query(item) for item in live.get("Metrics", [])],
    }


def _check_alarm(p: Props) -> Failures:
    found = _check_metric(p) if "metricName" in p else _check_queries(p)
    if ("threshold" in p) == ("thresholdMetricId" in p):
        found.append(("threshold", "an alarm needs either 'threshold' or 'thresholdMetricId'"))
    more, total = p.get("datapointsToAlarm"), p["evaluationPeriods"]
    if isinstance(more, int) and isinstance(total, int) and more > total:
        found.append(("datapointsToAlarm", f"{more} is more than evaluationPeriods, {total}"))
    return found


def _check_metric(p: Props) -> Failures:
    found = [(n, f"an alarm with 'metricName' needs {n!r}") for n in ("namespace", "period") if n not in p]
    if "metricQueries" in p:
        found.append(("metricQueries", "an alarm watches either 'metricName' or 'metricQueries', not both"))
    if ("statistic" in p) == ("extendedStatistic" in p):
        found.append(("statistic", "an alarm on a metric needs either 'statistic' or 'extendedStatistic'"))
    return found


def _check_queries(p: Props) -> Failures:
    if "metricQueries" not in p:
        return [("metricName", "an alarm watches 'metricName' (with 'namespace') or 'metricQueries'")]
    queries = p["metricQueries"]
    if has_unknown(queries):
        return []
    shown = [query["id"] for query in queries if query.get("returnData")]
    if len(shown) == 1:
        return []
    return [("metricQueries", f"exactly one query must have returnData: true, not {len(shown)} ({shown})")]


METRIC_ALARM = Resource(
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    props={
        **{name: Prop() for name in _PLAIN},
        "name": Prop(replace=True, computed=True),
        "alarmDescription": Prop(default=""),
        "actionsEnabled": Prop(default=True),
        "alarmActions": Prop(unordered=True),
        "okActions": Prop(unordered=True),
        "insufficientDataActions": Prop(unordered=True),
        "comparisonOperator": Prop(one_of=_OPERATORS),
        "datapointsToAlarm": Prop(computed=True),
        "dimensions": Prop(),
        "evaluateLowSampleCountPercentiles": Prop(computed=True, one_of=("evaluate", "ignore")),
        "statistic": Prop(one_of=("SampleCount", "Average", "Sum", "Minimum", "Maximum")),
        "treatMissingData": Prop(default="missing", one_of=("breaching", "notBreaching", "ignore", "missing")),
        "metricQueries": Prop(unordered=True, inner={"returnData": False}),
    },
    ident="name",
    outputs=("arn",),
    name=Name(limit=255),
    tags=_TAGS,
    required=("comparisonOperator", "evaluationPeriods"),
    check=_check_alarm,
    create=_create_alarm,
    read=_read_alarm,
    update=lambda s, k, p, _: s("cloudwatch").put_metric_alarm(**_put_alarm(s, p)),
    delete=lambda s, k: s("cloudwatch").delete_alarms(AlarmNames=[k["name"]]),
)


COMPOSITE = Names("aws:cloudwatch/compositeAlarm:CompositeAlarm", {"okActions": "OKActions"})
_RULED = (
    "alarmName",
    "alarmDescription",
    "actionsEnabled",
    "alarmRule",
    "alarmActions",
    "okActions",
    "insufficientDataActions",
)


def _composites(s: Scope, name: str) -> list[dict[str, Any]]:
    return s("cloudwatch").describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]


def _create_composite(s: Scope, p: Props) -> Props:
    if _composites(s, p["alarmName"]):  # PutCompositeAlarm would take it over
        raise Failure(f"alarm {p['alarmName']!r} already exists; import it, or choose another name")
    s("cloudwatch").put_composite_alarm(**COMPOSITE.request(p, *_RULED), Tags=_TAGS.pack(p["tags"]))
    return {"arn": s.arn("cloudwatch", f"alarm:{p['alarmName']}")}


def _read_composite(s: Scope, k: Props) -> Props | None:
    found = _composites(s, k["alarmName"])
    return {**COMPOSITE.state(found[0], *_RULED), "arn": found[0]["AlarmArn"]} if found else None


COMPOSITE_ALARM = Resource(
    "aws:cloudwatch/compositeAlarm:CompositeAlarm",
    props={
        "alarmName": Prop(replace=True),
        "alarmDescription": Prop(default=""),
        "actionsEnabled": Prop(default=True, replace=True),
        "alarmRule": Prop(),
        "alarmActions": Prop(unordered=True),
        "okActions": Prop(unordered=True),
        "insufficientDataActions": Prop(unordered=True),
    },
    ident="alarmName",
    identity=("alarmName",),
    outputs=("arn",),
    tags=_TAGS,
    required=("alarmName", "alarmRule"),
    create=_create_composite,
    read=_read_composite,
    update=lambda s, k, p, _: s("cloudwatch").put_composite_alarm(**COMPOSITE.request(p, *_RULED)),
    delete=lambda s, k: s("cloudwatch").delete_alarms(AlarmNames=[k["alarmName"]]),
)


def _put_dashboard(s: Scope, p: Props) -> None:
    answer = s("cloudwatch").put_dashboard(DashboardName=p["dashboardName"], DashboardBody=p["dashboardBody"])
    problems = [m.get("Message", "") for m in answer.get("DashboardValidationMessages", [])]
    if problems:
        raise Failure(f"dashboard {p['dashboardName']!r}: {'; '.join(problems)}")


def _read_dashboard(s: Scope, k: Props) -> Props:
    live = s("cloudwatch").get_dashboard(DashboardName=k["dashboardName"])
    return {
        "dashboardName": k["dashboardName"],
        "dashboardArn": live["DashboardArn"],
        "dashboardBody": live["DashboardBody"],
    }


DASHBOARD = Resource(
    "aws:cloudwatch/dashboard:Dashboard",
    props={"dashboardName": Prop(replace=True), "dashboardBody": Prop(json=True)},
    ident="dashboardName",
    identity=("dashboardName",),
    outputs=("dashboardArn",),
    create=_put_dashboard,
    read=_read_dashboard,
    update=lambda s, k, p, _: _put_dashboard(s, p),
    delete=lambda s, k: s("cloudwatch").delete_dashboards(DashboardNames=[k["dashboardName"]]),
)

RESOURCES = (METRIC_ALARM, COMPOSITE_ALARM, DASHBOARD)
