"""`localcloud.toml`."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

import pytest

from localcloud.server.configuration import ConfigurationError, load
from localcloud.server.platform import ImageCommand


def test_a_program_without_a_slash_is_looked_up_on_the_path(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[[image]]\nrepository = "a"\ncommand = ["sh", "run"]\nenvironment = {A = "1"}\n')
    assert load(file).images == (ImageCommand("a", ("sh", "run"), tmp_path, {"A": "1"}),)


def test_an_image_trains_only_if_the_file_says_how(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[[image]]\nrepository = "a"\ncommand = ["sh", "run"]\ntrain = ["bin/train", "all"]\n')
    assert load(file).images[0].train == (str(tmp_path / "bin/train"), "all")
    file.write_text('[[image]]\nrepository = "a"\ncommand = ["sh"]\ntrain = "sh"\n')
    with pytest.raises(ConfigurationError, match=r"image\[0\]\.train is 'sh', expected a program and its arguments"):
        load(file)


def test_an_image_processes_by_a_command_of_its_own_and_finds_programs_in_its_own_folders(tmp_path):
    file = tmp_path / "c.toml"
    entry = '[[image]]\nrepository = "a"\ncommand = ["sh"]\n'
    file.write_text(f'{entry}process = ["bin/process"]\npath = [".venv/bin", "/opt/bin"]\n')
    (image,) = load(file).images
    assert image.process == (str(tmp_path / "bin/process"),)
    assert image.path == (str(tmp_path / ".venv/bin"), "/opt/bin")
    file.write_text(f'{entry}path = ".venv/bin"\n')
    with pytest.raises(ConfigurationError, match=r"image\[0\]\.path is '.venv/bin', expected a list of folders"):
        load(file)


def test_without_a_file_there_are_defaults():
    assert (load(None).region, load(None).account, load(None).images) == ("us-east-1", "000000000000", ())


def test_the_time_scale_is_one_unless_the_file_says_otherwise(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("time_scale = 60\n")
    assert load(file).time_scale == 60
    assert load(None).time_scale == 1


@pytest.mark.parametrize("value", ["0.5", "0", "-1", "10001", '"60"', "true"])
def test_a_time_scale_that_is_none_is_refused(tmp_path, value):
    file = tmp_path / "c.toml"
    file.write_text(f"time_scale = {value}\n")
    with pytest.raises(ConfigurationError, match=r"time_scale is .*, expected a number from 1 to 10000"):
        load(file)


@pytest.mark.e2e
def test_the_command_lines_time_scale_goes_before_the_files(new_cloud):
    cloud = new_cloud()
    command = [sys.executable, "-m", "localcloud", "start", "--state", str(cloud.state), "--port", str(cloud.port)]
    command += ["--python", str(cloud.python)]
    wrong = subprocess.run([*command, "--time-scale", "0"], capture_output=True, text=True, check=False)
    assert "'0' is no time scale, expected a number from 1 to 10000" in wrong.stderr
    subprocess.run([*command, "--time-scale", "90"], check=True)
    with urllib.request.urlopen(f"{cloud.url}/_localcloud/status", timeout=10) as answer:
        assert json.load(answer)["time_scale"] == 90
