"""Which pods Prometheus is told of."""

from __future__ import annotations

from typing import Any

from localcloud.cluster.discovery import targets


def pod(name: str, *, phase: str = "Running", address: str = "10.244.0.7", **annotations: str) -> dict[str, Any]:
    asked = {f"prometheus.io/{key}": value for key, value in annotations.items()}
    status = {"phase": phase} | ({"podIP": address} if address else {})
    return {"metadata": {"name": name, "namespace": "models", "annotations": asked}, "status": status}


def test_a_pod_that_asks_is_scraped_at_its_port_and_path() -> None:
    (group,) = targets([pod("a", scrape="true", port="8080", path="/stats")])
    assert group["targets"] == ["10.244.0.7:8080"]
    assert group["labels"] == {"namespace": "models", "pod": "a", "__metrics_path__": "/stats"}


def test_metrics_is_the_path_where_none_is_named() -> None:
    assert targets([pod("a", scrape="true", port="8080")])[0]["labels"]["__metrics_path__"] == "/metrics"


def test_a_pod_that_does_not_ask_has_no_port_no_address_or_does_not_run_is_left_out() -> None:
    bare = {"metadata": {"name": "bare", "namespace": "models"}}
    assert not targets(
        [
            pod("no", port="8080"),
            pod("said-no", scrape="false", port="8080"),
            pod("no-port", scrape="true"),
            pod("no-address", scrape="true", port="8080", address=""),
            pod("ended", scrape="true", port="8080", phase="Succeeded"),
            bare,
        ]
    )


def test_the_order_of_the_list_does_not_count() -> None:
    pods = [pod(name, scrape="true", port="1") for name in ("b", "a")]
    assert targets(pods) == targets(pods[::-1])
