"""`make docs`: writes docs/reference/program.md from the docstrings of the public classes."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator

import modelstack
from modelstack.pipeline.project import project_root

PAGE = project_root() / "docs" / "reference" / "program.md"
_HEAD = """# The program

What `infra/__main__.py` composes: `import modelstack as ms`, then `ms.Stack`. It is made from the code (`make docs`).
[Extend the program](../how-to/extend-the-program.md) shows how to use it. `Opts` is `pulumi.ResourceOptions | None`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(part for name in modelstack.PUBLIC for part in _of(name))])


def _of(name: str) -> Iterator[str]:
    kind = getattr(modelstack, name)
    yield f"## {name}\n\n{_text(kind)}\n"
    for member, value in vars(kind).items():
        if not member.startswith("_") and (isinstance(value, property) or inspect.isroutine(getattr(kind, member))):
            found = getattr(kind, member)
            call = "" if isinstance(value, property) else re.sub(r"'|\bself(, )?", "", str(inspect.signature(found)))
            yield f"### `{name}.{member}{call}`\n\n{_text(found)}\n"


def _text(found: object) -> str:
    """The docstring; its sections are lists."""
    lines = (inspect.getdoc(found) or "").splitlines()
    text = "\n".join(re.sub(r"^    (\w[\w.]*): ", r"- `\1`: ", re.sub(r"^(\w+):$", r"\1:\n", line)) for line in lines)
    return re.sub(r"\n {8,}", "\n  ", text)


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(page())
