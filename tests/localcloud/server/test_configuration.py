"""`localcloud.toml`."""

from __future__ import annotations

from pathlib import Path

from localcloud.server.configuration import load
from localcloud.server.platform import ImageCommand

ROOT = Path(__file__).resolve().parents[3]


def test_the_projects_own_file_runs_its_serving_image_as_a_process():
    [image] = load(ROOT / "localcloud.toml").images
    assert image.repository == "*-serving"
    assert image.command == (str(ROOT / ".venv/bin/python"), "model/entrypoint.py", "serve")
    assert image.folder == ROOT


def test_a_program_without_a_slash_is_looked_up_on_the_path(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[[image]]\nrepository = "a"\ncommand = ["sh", "run"]\nenvironment = {A = "1"}\n')
    assert load(file).images == (ImageCommand("a", ("sh", "run"), tmp_path, {"A": "1"}),)


def test_without_a_file_there_are_defaults():
    assert (load(None).region, load(None).account, load(None).images) == ("us-east-1", "000000000000", ())
