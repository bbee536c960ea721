"""`make docs`: writes docs/reference/commands.md from the help of the `modelstack` command."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator

import click

from modelstack.cli.main import main
from modelstack.cli.target import project_root

PAGE = project_root() / "docs" / "reference" / "commands.md"
_HEAD = """# Commands

Every command shows this help with `--help`. The page is made from the same words (`make docs`). Words such as
*champion* and *trial* are explained in the [glossary](glossary.md). `make` alone lists the targets of `make`.

## Exit codes

| code | meaning |
|---|---|
| `0` | It is done, or the answer is yes. |
| `1` | The answer is no: an alarm fires, the release was rolled back, a record was changed, a request was refused. |
| `2` | Wrong use: the command line, a file that it names, or the stack's config. |
| `3` | It could not be found out: the cloud does not answer or refuses the credentials, or no such stack is in reach. |
| `4` | `watch`: a person must decide. |
| `5` | `watch`: the time is over, and the trial goes on or has not begun. |
| `6` | `watch`: the release was withdrawn or superseded, which says nothing against it. |
| `130` | It was stopped by Ctrl-C. |

So a script may take 1 for a no: a failure to look is never one. An error is a line on standard error that begins with
`error:`, and below it what to do. With `--json`, after the command's name, it is an object on standard output: `error`,
`hint` (or null) and `exit_code`. Where standard output is no terminal, no line is wrapped.

## Which endpoint

Choose a stack with `--stack` or `MODELSTACK_STACK`. The default is `local`. These options go before or after the name
of each command:
"""


def page() -> str:
    """The page as Markdown."""
    shared = _options(main, but={"version", "help"})
    parts = [_HEAD, _table(shared)]
    for name, command in _commands(main):
        usage = " ".join(["modelstack", name, *filter(None, map(_argument, command.params))])
        parts.append(f"## `{usage}`\n\n{_paragraphs(command.help or '')}\n")
        own = _options(command, but={"help", *(item.name for item in shared)})
        if own:
            parts.append(_table(own))
    return "\n".join(parts)


def _commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Full name and command, groups flattened."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _options(command: click.Command, but: set[str | None]) -> list[click.Option]:
    return [item for item in command.params if isinstance(item, click.Option) and item.name not in but]


def _argument(item: click.Parameter) -> str:
    if not isinstance(item, click.Argument):
        return ""
    if isinstance(item.type, click.Choice):
        return f"[{' | '.join(item.type.choices)}]"
    name = (item.name or "").upper()
    return name if item.required else f"[{name}]"


def _named(item: click.Option) -> str:
    kind = item.type
    value = "DAY" if isinstance(kind, click.DateTime) else kind.name.upper().removesuffix(" RANGE")
    return item.opts[-1] if item.is_flag else f"{item.opts[-1]} {value}"


def _told(item: click.Option) -> str:
    said = [_marked(item.help or "")]
    if isinstance(item.type, click.IntRange | click.FloatRange):
        low, high = item.type.min, item.type.max
        said.append(f"At least {low:,}." if high is None else f"From {low:,} to {high:,}.")
    if item.required:
        said.append("Must be given.")
    if item.show_default and not item.is_flag:
        said.append(f"Default: `{item.default}`.")
    return " ".join(said).strip()


def _paragraphs(text: str) -> str:
    told = "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))
    return _marked(told)


def _marked(text: str) -> str:
    """Format options as code, except within code."""
    return re.sub(r"`[^`]*`|(--[a-z-]+)", lambda found: f"`{found[1]}`" if found[1] else found[0], text)


def _table(options: list[click.Option]) -> str:
    rows = ((_named(item), _told(item)) for item in options)
    lines = ["| `" + name.replace("|", "\\|") + "` | " + text.replace("|", "\\|") + " |" for name, text in rows]
    return "\n".join(["| option | what it does |", "|---|---|", *lines]) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())
