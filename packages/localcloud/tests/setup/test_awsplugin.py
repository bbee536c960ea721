"""The command of the local plugin, as set-up installs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from localcloud.setup import awsplugin


def test_it_serves_from_any_folder_whatever_lies_in_it(tmp_path: Path) -> None:
    (tmp_path / "grpc.py").write_text("raise SystemExit('a file of the project was taken for a library')")
    command = tmp_path / "pulumi-resource-aws"
    command.write_bytes(awsplugin.launcher(Path(sys.executable)))
    command.chmod(0o755)
    process = subprocess.Popen([command, "127.0.0.1:1", "-v=9"], stdout=subprocess.PIPE, cwd=tmp_path)
    try:
        assert process.stdout is not None
        assert 0 < int(process.stdout.readline()) < 65536
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_a_path_with_a_space_or_a_quote_is_kept() -> None:
    text = awsplugin.launcher(Path("/it's my env/bin/python")).decode()
    words = ["sh", "-c", text.replace("exec ", "printf '%s\\n' "), "sh"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown[0] == "/it's my env/bin/python"


def test_set_up_needs_nothing_beyond_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import localcloud.setup.__main__;"
        "print(sorted({m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['localcloud']"
