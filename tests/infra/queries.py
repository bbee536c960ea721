"""An alarm as the program declares it, in the form that `PutMetricAlarm` takes."""

from __future__ import annotations

from typing import Any


def as_put(inputs: dict[str, Any]) -> dict[str, Any]:
    """The parameters of `PutMetricAlarm`, without name and actions."""
    rule: dict[str, Any] = {
        "EvaluationPeriods": int(inputs["evaluationPeriods"]),
        "DatapointsToAlarm": int(inputs["datapointsToAlarm"]),
        "Threshold": inputs["threshold"],
        "ComparisonOperator": inputs["comparisonOperator"],
        "TreatMissingData": inputs["treatMissingData"],
    }
    if warm_up := inputs.get("warmUpConfiguration"):
        rule["WarmUpConfiguration"] = {"WarmUpPeriodDurationInMinutes": int(warm_up["warmUpPeriodDurationInMinutes"])}
    if "metricQueries" in inputs:
        return {**rule, "Metrics": [_query(query) for query in inputs["metricQueries"]]}
    return {
        **rule,
        "Namespace": inputs["namespace"],
        "MetricName": inputs["metricName"],
        "Dimensions": _pairs(inputs["dimensions"]),
        "Period": int(inputs["period"]),
        "Statistic": inputs["statistic"],
    }


def _query(query: dict[str, Any]) -> dict[str, Any]:
    if "expression" in query:
        return {"Id": query["id"], "Expression": query["expression"], "ReturnData": query["returnData"]}
    metric = query["metric"]
    return {
        "Id": query["id"],
        "ReturnData": query["returnData"],
        "MetricStat": {
            "Metric": {
                "Namespace": metric["namespace"],
                "MetricName": metric["metricName"],
                "Dimensions": _pairs(metric["dimensions"]),
            },
            "Period": int(metric["period"]),
            "Stat": metric["stat"],
        },
    }


def _pairs(dimensions: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]
