"""Files from templates: those of a project, of an example model, and of a model of a fitted estimator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Path(__file__).parent / "templates"
_SUFFIX = ".jinja"


def render(folder: str, values: Mapping[str, Any]) -> dict[str, bytes]:
    """Path -> content of each template in a folder of `templates/`, with the values filled in.

    The marks are `<< value >>` and `<% statement %>`, since GitHub's workflows and Python have `{{`.
    """
    known = Environment(  # noqa: S701  no HTML
        loader=FileSystemLoader(_TEMPLATES / folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
    )
    known.filters["quoted"] = lambda text: json.dumps(text, ensure_ascii=False)
    return {
        name.removesuffix(_SUFFIX): known.get_template(name).render(values).encode()
        for name in known.list_templates()
        if name.endswith(_SUFFIX)
    }
