"""What a command loads: never the SDK of a platform that it does not ask."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modelstack.cli.errors import OperatorError
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target

AWS = ("boto3", "botocore", "modelstack.platforms.aws.journal")
CLUSTER = ("httpx", "pg8000", "modelstack.platforms.kubernetes")
LOOKS = """
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.cli.view.watching import Looks
platform = platform_of(Target("prod", "flight-delay-prod", "", {outputs}))
"""


def loaded(code: str) -> list[str]:
    whole = f"import sys\n{code}\nprint(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_help_loads_no_platforms_sdk() -> None:
    assert [name for name in loaded("import modelstack.cli.main") if name.startswith((*AWS, *CLUSTER, "numpy"))] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outputs", "its", "others"), [("{}", AWS, CLUSTER), ('{"platform": "kubernetes"}', CLUSTER[::2], AWS)]
)
def test_a_look_loads_what_its_own_platform_needs_and_nothing_of_the_other(
    outputs: str, its: tuple[str, ...], others: tuple[str, ...]
) -> None:
    found = loaded(f"import modelstack.cli.main{LOOKS.format(outputs=outputs)}")
    assert [name for name in found if name.startswith(others)] == []
    assert [name for name in its if name in found] == [*its]


def test_a_platform_that_is_not_installed_is_an_error_that_lists_those_that_are() -> None:
    with pytest.raises(OperatorError, match="platform: got 'vertex', allowed are aws, kubernetes"):
        platform_of(Target("prod", "flight-delay-prod", "", {"platform": "vertex"}))
