"""Dashboards."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError
from hypothesis import example, given
from hypothesis import strategies as st

from localcloud.cloudwatch.dashboards import check

METRIC = {
    "type": "metric",
    "x": 0,
    "y": 0,
    "width": 12,
    "height": 6,
    "properties": {
        "region": "us-east-1",
        "title": "Errors",
        "view": "timeSeries",
        "period": 60,
        "stat": "Sum",
        "metrics": [
            ["AWS/SageMaker", "Invocation5XXErrors", "EndpointName", "e", "VariantName", "v", {"stat": "Sum"}],
            [{"expression": "m1 / m2", "label": "rate", "id": "e1"}],
            ["...", "w"],
        ],
        "annotations": {"horizontal": [{"label": "limit", "value": 5}]},
    },
}
TEXT = {"type": "text", "properties": {"markdown": "# Title"}}
ALARMS = {"type": "alarm", "properties": {"title": "Alarms", "alarms": ["arn:aws:cloudwatch:us-east-1:1:alarm:a"]}}
LOG = {"type": "log", "properties": {"region": "us-east-1", "query": "SOURCE 'x' | fields @message"}}


def body(*widgets, **more) -> str:
    return json.dumps({"widgets": list(widgets), **more})


def test_a_dashboard_comes_back_as_it_was_put(tell):
    async def story(local):
        text = body(METRIC, TEXT, ALARMS, LOG, start="-PT6H", periodOverride="inherit")
        answer = await local("PutDashboard", DashboardName="d", DashboardBody=text, Tags=[{"Key": "a", "Value": "b"}])
        assert answer["DashboardValidationMessages"] == []
        arn = "arn:aws:cloudwatch::123456789012:dashboard/d"
        assert await local("GetDashboard", DashboardName="d") == {
            "DashboardArn": arn, "DashboardBody": text, "DashboardName": "d"
        }  # fmt: skip
        assert (await local("ListTagsForResource", ResourceARN=arn))["Tags"] == [{"Key": "a", "Value": "b"}]
        (entry,) = (await local("ListDashboards", DashboardNamePrefix="d"))["DashboardEntries"]
        assert (entry["DashboardArn"], entry["Size"]) == (arn, len(text))
        assert (await local("ListDashboards", DashboardNamePrefix="x"))["DashboardEntries"] == []
        with pytest.raises(ClientError, match="ResourceNotFound"):
            await local("DeleteDashboards", DashboardNames=["d", "unknown"])
        await local("DeleteDashboards", DashboardNames=["d"])
        with pytest.raises(ClientError, match="Dashboard d does not exist"):
            await local("GetDashboard", DashboardName="d")

    tell(story)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("{", "/"),
        ("[]", "/"),
        ("{}", "/widgets"),
        (body({"type": "picture", "properties": {}}), "/widgets/0/type"),
        (body({"type": "text"}), "/widgets/0/properties"),
        (body({"type": "text", "properties": {}}), "/widgets/0/properties"),
        (body(TEXT, {**TEXT, "width": 25}), "/widgets/1/width"),
        (body({**TEXT, "height": True}), "/widgets/0/height"),
        (body({**TEXT, "x": 1}), "/widgets/0"),
        (body({"type": "metric", "properties": {"region": "r"}}), "/widgets/0/properties"),
        (body({"type": "metric", "properties": {"metrics": [["n", "m"]]}}), "/widgets/0/properties"),
        (body({"type": "metric", "properties": {"region": "r", "metrics": [["n"]]}}),
         "/widgets/0/properties/metrics/0"),
        (body({"type": "metric", "properties": {"region": "r", "metrics": [["n", "m", "d"]]}}),
         "/widgets/0/properties/metrics/0"),
        (body({"type": "metric", "properties": {"region": "r", "metrics": [["n", "m"]], "period": 45}}),
         "/widgets/0/properties/period"),
        (body({"type": "metric", "properties": {"region": "r", "metrics": [["n", "m"]], "view": "cake"}}),
         "/widgets/0/properties/view"),
        (body(*[TEXT] * 501), "/widgets"),
        (body(periodOverride="no"), "/periodOverride"),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_drawn_is_refused_with_its_place(tell, text, at):
    async def story(local):
        for protocol in ("cbor", "json", "query"):
            status, _, raw, parsed = await local.ask("PutDashboard", protocol, DashboardName="d", DashboardBody=text)
            assert (status, parsed["Error"]["Code"]) == (400, "InvalidParameterInput")
            assert f"{at}: " in parsed["Error"]["Message"]
            assert at.encode() in raw
        assert (await local("ListDashboards"))["DashboardEntries"] == []

    tell(story)


def test_what_the_reference_does_not_know_is_a_warning(tell):
    async def story(local):
        text = body({**TEXT, "colour": 1, "properties": {"markdown": "x", "font": "y"}}, theme="dark")
        answer = await local("PutDashboard", DashboardName="d", DashboardBody=text)
        assert [message["DataPath"] for message in answer["DashboardValidationMessages"]] == [
            "/theme", "/widgets/0/colour", "/widgets/0/properties/font"
        ]  # fmt: skip
        assert (await local("GetDashboard", DashboardName="d"))["DashboardBody"] == text

    tell(story)


def test_names_have_letters_digits_dashes_and_underscores(tell):
    async def story(local):
        with pytest.raises(ClientError, match="DashboardName"):
            await local("PutDashboard", DashboardName="a b", DashboardBody=body(TEXT))

    tell(story)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["widgets", "type", "properties", "metrics", "x", "width", "region"]), inner)
    ),
    max_leaves=20,
)


@given(anything)
@example({"widgets": [{"type": []}, {"type": [], "properties": {}}]})
def test_any_body_is_checked_without_a_crash(value):
    errors, warnings = check(json.dumps(value))
    assert all(at.startswith("/") and what for at, what in [*errors, *warnings])
