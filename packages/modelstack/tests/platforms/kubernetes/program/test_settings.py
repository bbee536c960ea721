from __future__ import annotations

import socket
from pathlib import Path

import pytest

from modelstack.platforms.kubernetes.program.settings import ControllerSettings, WrongSettings

NOWHERE = Path("/nowhere")


def test_what_is_not_told_is_taken_from_the_pod(tmp_path: Path) -> None:
    file = tmp_path / "namespace"
    file.write_text("models\n")
    settings = ControllerSettings.of({}, file)
    assert (settings.namespace, settings.pod, settings.host, settings.port) == (
        "models",
        socket.gethostname(),
        "127.0.0.1",
        8081,
    )
    assert (settings.database, settings.webhook) == ("", "")


def test_the_environment_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "namespace"
    file.write_text("other")
    told = {
        "NAMESPACE": "models",
        "POD_NAME": "controller-1",
        "DATABASE_URL": "postgresql://user:pass@db:5432/modelstack",
        "WEBHOOK_URL": "https://hooks.example.com/x",
        "BIND_HOST": "0.0.0.0",
        "PORT": "9000",
    }
    settings = ControllerSettings.of(told, file)
    assert (settings.namespace, settings.by, settings.host, settings.port) == (
        "models",
        "pod models/controller-1",
        "0.0.0.0",
        9000,
    )
    assert "pass" not in repr(settings)
    assert "hooks" not in repr(settings)


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({}, "NAMESPACE is ''"),
        ({"NAMESPACE": "Models"}, "NAMESPACE is 'Models', and must be"),
        ({"NAMESPACE": "m", "PORT": "0"}, "PORT is '0', and must be a number from 1 to 65535"),
        ({"NAMESPACE": "m", "PORT": "http"}, "PORT is 'http'"),
        (
            {"NAMESPACE": "m", "DATABASE_URL": "mysql://me:secret@db/x"},
            "DATABASE_URL is no URL that begins with postgres",
        ),
        ({"NAMESPACE": "m", "WEBHOOK_URL": "secret"}, "WEBHOOK_URL is no URL that begins with https://"),
        ({"NAMESPACE": "m", "WEBHOOK_URL": "https://[secret"}, "WEBHOOK_URL is no URL"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_is_told(told: dict[str, str], named: str) -> None:
    with pytest.raises(WrongSettings) as caught:
        ControllerSettings.of(told, NOWHERE)
    assert named in str(caught.value)
    assert "secret" not in str(caught.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(WrongSettings, match=r"NAMESPACE.*\n.*WEBHOOK_URL.*\nPORT"):
        ControllerSettings.of({"WEBHOOK_URL": "x", "PORT": "-1"}, NOWHERE)
