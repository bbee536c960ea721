"""What a person is told where a cluster does not do what was asked: clear words, and never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from platforms.kubernetes.kinds import ROLLOUT
from tests.cli.clustered import Cluster
from tests.cli.there import (
    NAME,
    NAMESPACE,
)


def failed(done: Result) -> str:
    assert done.exit_code in {1, 2}
    assert "Traceback" not in done.output
    return done.stderr


def test_a_context_that_is_missing_is_named_with_those_there_are(cluster: Cluster) -> None:
    done = CliRunner().invoke(main, ["--endpoint", f"{NAMESPACE}/{NAME}", "--context", "prd", "status"])
    assert "no context 'prd' in" in failed(done)
    assert "its contexts are: prod" in done.stderr


def test_a_rollout_that_is_missing_is_named_with_those_there_are(cluster: Cluster) -> None:
    done = CliRunner().invoke(main, ["--endpoint", f"{NAMESPACE}/other", "status"])
    assert f"namespace {NAMESPACE} has no Rollout other; there are: {NAME}" in failed(done)


def test_a_namespace_that_is_missing_is_named(cluster: Cluster) -> None:
    done = CliRunner().invoke(main, ["--endpoint", f"elsewhere/{NAME}", "status"])
    assert "there is no namespace elsewhere" in failed(done)


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


@pytest.mark.parametrize("word", ["/x", "a/", "a/b/c"])
def test_a_name_of_another_form_is_refused(word: str) -> None:
    said = failed(CliRunner().invoke(main, ["--endpoint", word, "--context", "c", "status"]))
    assert f"--endpoint is {word!r}" in said
    assert "NAMESPACE/NAME" in said


def test_region_and_context_exclude_each_other() -> None:
    done = CliRunner().invoke(main, ["--endpoint", "a/b", "--region", "eu-west-1", "status"])
    assert "--region is of an endpoint on AWS, and --context of one on Kubernetes" in failed(done)
