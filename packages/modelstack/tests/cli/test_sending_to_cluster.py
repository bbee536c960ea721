"""Requests to an endpoint on a cluster: through its gateway, to the variant that is meant."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from modelstack.cli.errors import NotAnswered
from modelstack.cli.invoke import answer_of
from modelstack.cli.platform.kubernetes.platform import Kubernetes
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, GATEWAY, ROLLOUT
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.services.invoke import Request
from tests.cli.clustered import Cluster
from tests.cli.there import NAME, PAIR, target
from tests.platforms.http_endpoint import Gateway, a_gateway
from tests.platforms.kubernetes.certificates import authority

pytestmark = pytest.mark.slow


@pytest.fixture
def body(tmp_path: Path) -> str:
    (tmp_path / "body").write_text('{"instances": [1]}')
    return str(tmp_path / "body")


def test_a_request_goes_through_the_gateway_to_the_variant_that_is_meant(
    cluster: Cluster, typed: Callable[..., Result], body: str
) -> None:
    cluster.answer = (200, {"x-modelstack-variant": PAIR.champion.variant}, '{"predictions": [1]}')
    done = typed("invoke", body, "--variant", PAIR.champion.variant)
    assert (done.stdout, done.stderr) == ('{"predictions": [1]}\n', f"answered by {PAIR.champion.variant}\n")
    ((headers, sent),) = cluster.requests
    assert (sent, headers["host"], headers["x-modelstack-target"]) == (
        '{"instances": [1]}', "model.example.org", PAIR.champion.variant
    )  # fmt: skip


GIVEN = {"gateway": "tls", "host": "model.example.org", "ca_config_map": "authority"}


@pytest.fixture
def over_tls(cluster: Cluster) -> Iterator[Gateway]:
    """A gateway whose certificate is for `model.example.org`, by an authority of its own."""
    certificate = authority("model.example.org")
    with a_gateway(certificate) as gateway:
        listener = {"name": "https", "protocol": "HTTPS", "port": int(gateway.url.rpartition(":")[2])}
        status = {"addresses": [{"value": "127.0.0.1"}]}
        cluster.put(GATEWAY, {"metadata": {"name": "tls"}, "spec": {"listeners": [listener]}, "status": status})
        cluster.put(CONFIG_MAP, {"metadata": {"name": "authority"}, "data": {"ca.crt": certificate[0].decode()}})
        yield gateway


@pytest.mark.usefixtures("over_tls")
def test_a_gateway_of_tls_is_checked_by_the_routes_host_and_by_ones_own_authority(cluster: Cluster) -> None:
    def send(**changes: str) -> bytes:
        there = target(cluster)
        outputs = {**there.outputs, **GIVEN, **changes}
        return answer_of(Kubernetes(replace(there, outputs=outputs)).invoke(), Request(b"{}")).body

    assert send() == b'{"p": 0.25}'
    for changes in ({"host": "other.example.org"}, {"ca_config_map": ""}):
        with pytest.raises(NotAnswered, match="CERTIFICATE_VERIFY_FAILED"):
            send(**changes)


@pytest.mark.parametrize("rate", ["0", "20"])
def test_a_load_is_put_on_a_gateway_of_tls_which_is_checked_as_one_request_checks_it(
    cluster: Cluster, typed: Callable[..., Result], over_tls: Gateway, body: str, rate: str
) -> None:
    def load(**changes: str) -> Result:
        spec = RolloutSpec("prod", "flight-delay", prometheus="http://127.0.0.1:1", **{**GIVEN, **changes})
        cluster.put(ROLLOUT, {"metadata": {"name": NAME}, "spec": spec.as_dict()})
        return typed("loadtest", body, "--for", "0.3", "--connections", "1", "--rate", rate, "--json")

    assert json.loads(load().stdout)["statuses"].keys() == {"200"}
    assert over_tls.asked[-1][0]["host"] == "model.example.org"
    for changes in ({"host": "other.example.org"}, {"ca_config_map": ""}):
        refused = load(**changes)
        assert (refused.exit_code, "CERTIFICATE_VERIFY_FAILED" in refused.output) == (3, True), refused.output
        assert "gateway.ca_config_map" in refused.output


@pytest.mark.parametrize(
    ("headers", "by"), [({"x-modelstack-variant": "v-a"}, "the model"), ({}, "the gateway itself")]
)
def test_a_refusal_says_whose_it_is(
    cluster: Cluster, typed: Callable[..., Result], body: str, headers: dict[str, str], by: str
) -> None:
    cluster.answer = (503, headers, json.dumps({"error": "no"}))
    done = typed("invoke", body)
    assert (done.exit_code, done.stderr) == (1, f"error: invoking {NAME}: {by} answered 503: no\n")
