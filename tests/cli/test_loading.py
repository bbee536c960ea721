"""What a command loads: never the SDK of a platform that it does not ask."""

from __future__ import annotations

import subprocess
import sys


def loaded(code: str) -> set[str]:
    """The packages that are loaded after some code ran."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\n{code}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_help_loads_no_platforms_sdk() -> None:
    assert not {"boto3", "botocore", "httpx", "numpy"} & loaded("import cli.main")
