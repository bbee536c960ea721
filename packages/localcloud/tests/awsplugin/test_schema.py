"""The names that the plugin knows are those of the installed SDK."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.awsplugin import services
from localcloud.awsplugin.schema import schema
from localcloud.awsplugin.schema_build import main


def test_schema_json_is_what_the_installed_sdk_says() -> None:
    command = [sys.executable, "-m", "localcloud.awsplugin.schema_build", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_schema_that_is_out_of_date_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "schema.json"
    stale.write_text("{}")
    monkeypatch.setattr("localcloud.awsplugin.schema_build.PATH", stale)
    monkeypatch.setattr("localcloud.awsplugin.schema_build.build", lambda: '{"sdk": "new"}')
    assert main(["--check"]) == 1
    assert "run python -m localcloud.awsplugin.schema_build" in capsys.readouterr().out
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_it_holds_the_served_types_and_the_sdks_version() -> None:
    assert set(schema().resources) == set(services.TYPES)
    assert schema().sdk == importlib.metadata.version("pulumi-aws")


def test_an_object_and_its_namesake_at_the_top_are_told_apart() -> None:
    """`pulumi_aws.s3` has two classes named BucketVersioningArgs."""
    inputs = schema().inputs("aws:s3/bucketVersioning:BucketVersioning")
    assert set(inputs) == {"bucket", "expectedBucketOwner", "mfa", "region", "versioningConfiguration"}
