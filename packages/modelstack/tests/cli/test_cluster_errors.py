"""What a person is told where a cluster does not do what was asked: clear words, and never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from modelstack.cli.main import main
from modelstack.platforms.kubernetes.kinds import ROLLOUT
from tests.cli.clustered import Cluster
from tests.cli.there import NAME, NAMESPACE


def failed(done: Result) -> str:
    assert done.exit_code in {2, 3}
    assert "Traceback" not in done.output
    return done.stderr


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([f"{NAMESPACE}/{NAME}", "--context", "prd"], ["no context 'prd' in", "its contexts are: prod"]),
        ([f"{NAMESPACE}/other"], [f"namespace {NAMESPACE} has no Rollout other; there are: {NAME}"]),
        ([f"elsewhere/{NAME}"], ["there is no namespace elsewhere"]),
        (["a/b", "--region", "x"], ["--region is of an endpoint on AWS, and --context of one on Kubernetes"]),
        *(([word, "--context", "c"], [f"--endpoint is {word!r}", "NAMESPACE/NAME"]) for word in ("/x", "a/", "a/b/c")),
    ],
)
def test_an_endpoint_that_cannot_be_found_is_named_with_those_there_are(
    cluster: Cluster, words: list[str], parts: list[str]
) -> None:
    said = failed(CliRunner().invoke(main, ["--endpoint", *words, "status"]))
    assert [part for part in parts if part not in said] == []


def test_a_cluster_without_our_kinds_is_told_so(cluster: Cluster) -> None:
    cluster.kinds.discard(ROLLOUT.plural)
    assert "no such kind there" in failed(CliRunner().invoke(main, ["--endpoint", f"{NAMESPACE}/{NAME}", "status"]))


def test_who_may_not_read_is_told_what_and_as_whom(cluster: Cluster, typed: Callable[..., Result]) -> None:
    cluster.forbidden.add("rollouts")
    said = failed(typed("status"))
    assert 'cannot get resource "rollouts"' in said
    assert "context prod" in said


def test_an_api_server_that_is_down_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cluster().serving() as gone:
        monkeypatch.setenv("KUBECONFIG", str(gone.kubeconfig(tmp_path / "kubeconfig")))
    done = CliRunner().invoke(main, ["--endpoint", f"{NAMESPACE}/{NAME}", "status"])
    assert f"the API server http://127.0.0.1:{gone.port} (context prod) does not answer" in failed(done)
