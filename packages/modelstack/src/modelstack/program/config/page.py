"""`make docs`: writes docs/reference/config.md from the fields that check the config; prints it without `--write`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from modelstack.pipeline.project import project_root
from modelstack.program.config.problems import TAG, Location, kinds_of, section_of, what_is_allowed
from modelstack.program.config.settings import Settings
from modelstack.program.config.whole_numbers import whole

PAGE = project_root() / "docs" / "reference" / "config.md"
_HEAD = """# A stack's config

Everything that may stand under `config:` in a stack's file, `stacks/Pulumi.<stack>.yaml`. This page is made from the
code that checks the values (`make docs`). A wrong value stops `pulumi preview` before anything changes, with the field,
its value and what is allowed. An unknown field is an error too.

A field that is left out has its default. Beside these sections stand `aws:region`, the AWS region, which has no
default, and `aws:defaultTags`, the tags of every resource; the [policies](policies.md#keeping) ask for `project` and
`owner`. A field that is left out of a judge's metric comes from
[the table of metrics](../explanation/judge.md#what-is-compared).

What the strategies do is in [Release a change](../how-to/release.md). A model's own parameters are in
`model/parameters.py`. Words such as *champion* and *trial* are explained in the [glossary](glossary.md).
"""


@dataclass(frozen=True)
class FieldRow:
    """One field, with its path below the section."""

    path: str
    allowed: str
    default: str
    meaning: str

    def line(self) -> str:
        """A line of the table."""
        cells = (f"`{self.path}`", self.allowed.replace("<", "&lt;"), self.default, self.meaning)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    sections = {name: section_of(field.annotation) for name, field in Settings.model_fields.items()}
    alone = {name for name, section in sections.items() if section is None}
    parts.append("## Beside the sections\n")
    parts.append(_table(row for row in _rows(Settings, (), "", within=False) if row.path in alone))
    for name, section in sections.items():
        if section is None:
            continue
        doc = (section.__doc__ or "").strip().splitlines()[0]
        parts.append(f"## `modelstack:{name}`\n\n{doc}\n")
        parts.append(_table(_rows(section, (name,), "")))
        for path, location, kinds in _families(section, (name,), ""):
            for kind, member in kinds.items():
                title = (member.__doc__ or "").strip().splitlines()[0]
                parts.append(f"### `{path}`, `{TAG}: {kind}`\n\n{title}\n")
                parts.append(_table(_rows(member, (*location, kind), "", leave_out=TAG)))
    return "\n".join(parts)


def _table(rows: Iterator[FieldRow]) -> str:
    head = "| field | allowed | default | meaning |\n|---|---|---|---|\n"
    return head + "".join(f"{row.line()}\n" for row in rows)


def _rows(
    section: type[BaseModel], at: Location, above: str, leave_out: str = "", *, within: bool = True
) -> Iterator[FieldRow]:
    for name, field in section.model_fields.items():
        key = field.alias or name
        if key == leave_out:
            continue
        path, location = f"{above}{key}", (*at, key)
        inner = section_of(field.annotation)
        yield FieldRow(path, what_is_allowed(location, Settings), _default(field, inner), field.description or "")
        if not within:
            continue
        if inner is not None:
            yield from _rows(inner, location, f"{path}.")
        named = _named(field)
        if named is not None:
            each = "[]" if get_origin(field.annotation) is list else ".<name>"
            yield from _rows(named, (*location, "each"), f"{path}{each}.")


def _families(section: type[BaseModel], at: Location, above: str) -> Iterator[tuple[str, Location, dict[str, Any]]]:
    """`then` is listed with `strategy`, whose kinds include its own."""
    for name, field in section.model_fields.items():
        kinds = kinds_of(field.annotation)
        if kinds:
            yield f"{above}{name}", (*at, name), kinds


def _named(field: FieldInfo) -> type[BaseModel] | None:
    if get_origin(field.annotation) not in {dict, list}:
        return None
    return section_of(get_args(field.annotation)[-1])


def _default(field: FieldInfo, inner: type[BaseModel] | None) -> str:
    if field.is_required():
        return "must be given" if inner is None else "as below"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "as below" if inner is not None else _json(value.model_dump(exclude_none=True))
    if isinstance(value, dict):
        value = {
            name: item.model_dump(exclude_none=True) if isinstance(item, BaseModel) else item
            for name, item in value.items()
        }
    return _json(value)


def _json(value: Any) -> str:
    return f"`{json.dumps(whole(value), ensure_ascii=False)}`"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())
