"""The URL of a dashboard, as a person opens it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

pytestmark = pytest.mark.e2e


def test_a_dashboard_is_read_at_its_url(cloud):
    body = {"widgets": [{"type": "text", "properties": {"markdown": "hello"}}]}
    cloud.client("cloudwatch").put_dashboard(DashboardName="looked-at", DashboardBody=json.dumps(body))
    with urllib.request.urlopen(f"{cloud.url}/_localcloud/dashboards/looked-at") as answer:
        assert json.load(answer) == body


def test_a_dashboard_that_is_not_there_is_named(cloud):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{cloud.url}/_localcloud/dashboards/nowhere")
    assert refused.value.code == 404
    assert "nowhere" in refused.value.read().decode()


def test_a_web_page_of_another_origin_reads_no_dashboard(cloud):
    request = urllib.request.Request(
        f"{cloud.url}/_localcloud/dashboards/looked-at", headers={"Sec-Fetch-Site": "cross-site"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403
