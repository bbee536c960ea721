"""`python -m localcloud.coverage [--write]`: the page docs/coverage.md, from the tables that check each request."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from localcloud.awsplugin.services import TYPES
from localcloud.cloudwatch.service import CloudWatch
from localcloud.sagemaker import runtime
from localcloud.sagemaker.service import SageMaker
from localcloud.sagemaker.service_models import service_model
from localcloud.sagemaker.supported import refused_members
from localcloud.server.platform import Platform, SystemClock

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coverage.md"
_HEAD = """\
# Coverage

What the local cloud serves of these services, operation by operation. `make coverage` writes this page from the
cloud's own tables. Any other operation of these services is refused by name, and so is a member in the second column.
Of a served member only some values may be allowed; a refusal names them. [The other services](cloud.md) are those of
ministack, which has no such table.
"""


def page() -> str:
    """The page."""
    with TemporaryDirectory() as name:
        folder, nothing = Path(name), cast(Any, None)
        cloud = Platform(
            folder, folder, "us-east-1", "000000000000", "http://127.0.0.1", SystemClock(), nothing, nothing
        )
        sagemaker, cloudwatch = SageMaker(cloud).model, CloudWatch(cloud).operations
    every = service_model("sagemaker-runtime")
    invoke = {"InvokeEndpoint": [name for name in _members(every, "InvokeEndpoint") if name in runtime.REFUSED]}
    served = {name: refused_members(name, _members(sagemaker, name)) for name in sagemaker.operation_names}
    parts = (
        _service("SageMaker", served, sagemaker.metadata["operations"]),
        _service("SageMaker runtime", invoke, every.operation_names),
        _service("CloudWatch", {name: list[str]() for name in cloudwatch}, service_model("cloudwatch").operation_names),
    )
    types = "".join(f"- `{name}`\n" for name in sorted(TYPES))
    return "\n".join((_HEAD, *parts, f"## Resources of the `aws` plugin\n\n{types}"))


def _members(model: Any, operation: str) -> Iterable[str]:
    shape = model.operation_model(operation).input_shape
    return shape.members if shape else ()


def _service(name: str, served: dict[str, list[str]], every: Iterable[str]) -> str:
    """A section: each operation that is served with its refused members, then the names of the others."""
    others = sorted(set(every) - served.keys())
    rows = (f"| `{one}` | {', '.join(f'`{member}`' for member in served[one])} |\n" for one in sorted(served))
    return (
        f"## {name}\n\n{len(served)} of {len(served) + len(others)} operations.\n\n"
        f"| operation | refused members |\n|---|---|\n{''.join(rows)}\n"
        f"Not served: {', '.join(f'`{one}`' for one in others) or 'none'}.\n"
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())
