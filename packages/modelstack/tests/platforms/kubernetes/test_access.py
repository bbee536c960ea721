from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from modelstack.platforms.kubernetes.access import Access, from_kubeconfig, of_this_pod
from modelstack.rollout.core.errors import RolloutError, Unreachable
from tests.platforms.kubernetes.certificates import authority


def kubeconfig(folder: Path, user: dict[str, Any], name: str = "config", **cluster: Any) -> Path:
    """A kubeconfig with the context `prod`."""
    content = {
        "clusters": [{"name": "c", "cluster": {"server": "https://k8s.example.org:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u", "namespace": "models"}}],
        "current-context": "prod",
    }
    path = folder / name
    path.write_text(yaml.safe_dump(content))
    return path


def sent(access: Access, answers: list[int] | None = None) -> list[str]:
    seen: list[str] = []
    left = list(answers or [200])

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization", ""))
        return httpx.Response(left.pop(0) if left else 200)

    with httpx.Client(transport=httpx.MockTransport(handle), auth=access.auth) as client:
        for _ in answers or [200]:
            client.get("https://k8s.example.org:6443/")
    return seen


def test_the_current_context_counts_when_none_is_named(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"token": "t"})
    access = from_kubeconfig(None, [path])
    assert (access.server, access.namespace, access.says) == ("https://k8s.example.org:6443", "models", "context prod")
    assert sent(access) == ["Bearer t"]


@pytest.mark.parametrize(
    ("context", "name", "says"),
    [
        ("dev", "config", r"no context 'dev' in .*config; its contexts are: prod"),
        (None, "absent", r"no current context in .*absent; its contexts are: none"),
        (None, "broken", "cannot be read"),
        (None, "uncertified", "context prod: its certificates cannot be used"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_told(tmp_path: Path, context: str | None, name: str, says: str) -> None:
    kubeconfig(tmp_path, {"token": "t"})
    kubeconfig(tmp_path, {"token": "t"}, "uncertified", **{"certificate-authority": "absent.crt"})
    (tmp_path / "broken").write_text("contexts: [")
    with pytest.raises(RolloutError, match=says):
        from_kubeconfig(context, [tmp_path / name])


def test_of_two_files_the_first_that_has_it_counts(tmp_path: Path) -> None:
    one = kubeconfig(tmp_path, {"token": "first"}, "one")
    other = kubeconfig(tmp_path, {"token": "second"}, "other")
    assert sent(from_kubeconfig("prod", [tmp_path / "absent", one, other])) == ["Bearer first"]


def test_a_token_in_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    tmp_path.joinpath("token").write_text("one\n")
    access = from_kubeconfig(None, [kubeconfig(tmp_path, {"tokenFile": "token"})])
    assert sent(access) == ["Bearer one"]
    tmp_path.joinpath("token").write_text("two\n")
    assert sent(access) == ["Bearer two"]


def test_a_user_and_password(tmp_path: Path) -> None:
    access = from_kubeconfig(None, [kubeconfig(tmp_path, {"username": "ada", "password": "p"})])
    assert sent(access) == [f"Basic {base64.b64encode(b'ada:p').decode()}"]


def test_an_authority_and_a_certificate_of_ones_own_as_data_and_as_files(tmp_path: Path) -> None:
    certificate, key = authority()
    for name, content in (("ca.crt", certificate), ("me.crt", certificate), ("me.key", key)):
        tmp_path.joinpath(name).write_bytes(content)
    by_file = {"client-certificate": "me.crt", "client-key": "me.key"}
    as_data = {
        f"{name}-data": base64.b64encode(tmp_path.joinpath(path).read_bytes()).decode()
        for name, path in by_file.items()
    }
    files = kubeconfig(tmp_path, by_file, "files", **{"certificate-authority": "ca.crt"})
    data = kubeconfig(
        tmp_path, as_data, "data", **{"certificate-authority-data": base64.b64encode(certificate).decode()}
    )
    for path in (files, data):
        verify = from_kubeconfig(None, [path]).verify
        assert not isinstance(verify, bool)
        assert verify.check_hostname
        assert len(verify.get_ca_certs()) == 1


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "token.py"
    path.write_text(text)
    return [str(path)]


GIVES = """
import json, os, pathlib
told = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
mark = pathlib.Path(__file__).with_name("count")
count = len(mark.read_text()) if mark.exists() else 0
mark.write_text("x" * (count + 1))
assert os.environ["REGION"] == "eu-west-1"
status = {"token": f"t{count}", "expirationTimestamp": "2999-01-01T00:00:00Z"}
print(json.dumps({"apiVersion": told["apiVersion"], "kind": "ExecCredential", "status": status}))
"""


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_command_gives_the_token_once_and_again_when_it_is_refused(tmp_path: Path, version: str) -> None:
    user = {
        "exec": {
            "apiVersion": f"client.authentication.k8s.io/{version}",
            "command": sys.executable,
            "args": script(tmp_path, GIVES),
            "env": [{"name": "REGION", "value": "eu-west-1"}],
        }
    }
    access = from_kubeconfig(None, [kubeconfig(tmp_path, user)])
    assert sent(access, [200, 200]) == ["Bearer t0", "Bearer t0"]
    assert sent(access, [401]) == ["Bearer t0", "Bearer t1"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("raise SystemExit('log in first')", "ended with 1: log in first"), ("print('{}')", "gave none: KeyError")],
)
def test_a_command_that_gives_no_token_is_told_in_its_own_words(tmp_path: Path, text: str, says: str) -> None:
    version = "client.authentication.k8s.io/v1"
    user = {"exec": {"apiVersion": version, "command": sys.executable, "args": script(tmp_path, text)}}
    with pytest.raises(RolloutError, match=says):
        sent(from_kubeconfig(None, [kubeconfig(tmp_path, user)]))


def test_a_command_that_is_not_installed_is_told_with_its_hint(tmp_path: Path) -> None:
    version = "client.authentication.k8s.io/v1"
    user = {"exec": {"apiVersion": version, "command": "no-such-program", "installHint": "Install it."}}
    with pytest.raises(RolloutError, match=r"no-such-program.*Install it\."):
        sent(from_kubeconfig(None, [kubeconfig(tmp_path, user)]))


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}}, "exec.apiVersion: got"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, user: dict[str, Any], says: str) -> None:
    with pytest.raises(RolloutError, match=says):
        from_kubeconfig(None, [kubeconfig(tmp_path, user)])


def test_a_pod_is_who_its_service_account_is(tmp_path: Path) -> None:
    certificate, _ = authority()
    tmp_path.joinpath("ca.crt").write_bytes(certificate)
    tmp_path.joinpath("token").write_text("hidden")
    tmp_path.joinpath("namespace").write_text("models")
    place = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    access = of_this_pod(tmp_path, place)
    assert (access.server, access.namespace, access.in_cluster) == ("https://[fd00::1]:443", "models", True)
    tmp_path.joinpath("token").write_text("two")
    assert sent(access) == ["Bearer two"]
    tmp_path.joinpath("token").unlink()
    with pytest.raises(Unreachable, match="the token cannot be read"):
        sent(access)
    with pytest.raises(RolloutError, match="this is no pod"):
        of_this_pod(tmp_path, {})
    assert "hidden" not in json.dumps(repr(access))
