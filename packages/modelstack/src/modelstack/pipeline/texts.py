"""Validation of the pipeline's texts, when it is compiled for an engine and by each step before it starts.

An input names its reader, a function of the text's name and the text: it returns the parsed value, or raises a Refusal
that names the text, its value and what is allowed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any

from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.forms import DIGEST, RECIPE, Form, not_allowed
from modelstack.pipeline.gate import GateError, Gates, check_gates
from modelstack.pipeline.steps import Input, function
from modelstack.serving import parameter_types

NAME = Form(
    "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?",
    "names of 1 to 63 letters, digits and _.-, a letter or digit first and last",
)
"""The allowed names of metadata of a version, in every registry."""


def wrong(inputs: Iterable[Input], texts: Mapping[str, str], folders: Collection[str]) -> list[str]:
    """Problems of the texts of some inputs, a line for each, given the names of the folders."""
    return [line for one in inputs if one.kind == "text" for line in _wrong(one, texts, folders)]


def _wrong(one: Input, texts: Mapping[str, str], folders: Collection[str]) -> list[str]:
    text = texts.get(one.name, one.default)
    given = text != one.default
    if given and one.of is not None and one.of not in folders:
        return [f"{one.name}: {text!r} is of no use without the folder {one.of}, which is not given"]
    if not given and one.asked(folders):
        return [f"{one.name}: missing; expected {one.says}" + (f", as {one.of} is given" if one.of else "")]
    if one.reader and (given or not one.required):
        try:
            function(one.reader)(one.name, text)
        except Refusal as error:
            return str(error).splitlines()
    return []


def json_object(name: str, text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Refusal(f"{not_allowed(name, text, 'a JSON object, such as {}')} ({error})") from None
    if not isinstance(value, dict):
        raise Refusal(not_allowed(name, text, "a JSON object, such as {}"))
    return value


def gates(name: str, text: str) -> Gates:
    """Gates, as a JSON object."""
    value = json_object(name, text)
    try:
        check_gates(value)
    except GateError as error:
        raise Refusal(str(error)) from None
    return value


def texts(name: str, text: str) -> dict[str, str]:
    """A JSON object of texts."""
    value = json_object(name, text)
    bad = [not_allowed(f"{name}.{key}", one, "a text") for key, one in value.items() if not isinstance(one, str)]
    bad += [not_allowed(name, key, NAME.words) for key in value if not NAME.fits(key)]
    if bad:
        raise Refusal("\n".join(bad))
    return value


def day(name: str, text: str) -> date | None:
    """A day, or nothing."""
    try:
        return parameter_types.day(text) if text else None
    except ValueError:
        raise Refusal(not_allowed(name, text, "a day as YYYY-MM-DD, or nothing")) from None


def number(name: str, text: str) -> float | None:
    """A finite number, or nothing."""
    try:
        value = float(text) if text else None
    except ValueError:
        value = math.nan
    if value is not None and not math.isfinite(value):
        raise Refusal(not_allowed(name, text, "a number, or nothing"))
    return value


def digest(name: str, text: str) -> str:
    """The digest of a package, or nothing."""
    return _of_form(name, text, DIGEST)


def recipe(name: str, text: str) -> str:
    """The digest of a recipe, or nothing."""
    return _of_form(name, text, RECIPE)


def _of_form(name: str, text: str, form: Form) -> str:
    if text and not form.fits(text):
        raise Refusal(not_allowed(name, text, f"{form.words}, or nothing"))
    return text
