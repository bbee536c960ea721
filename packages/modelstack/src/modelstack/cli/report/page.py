"""Renders the comment on a pull request from its facts. Pure."""

from __future__ import annotations

from modelstack.cli.errors import UNKNOWN
from modelstack.cli.report import model_section, stack_section
from modelstack.cli.report.facts import Facts, Missing, PackageFacts
from modelstack.cli.report.markdown import code, document, table, text


def marker(stack: str) -> str:
    """The first line of a comment, by which the next one replaces it."""
    name = "".join(one for one in stack if one.isalnum() or one in "-_./")
    return f"<!-- modelstack pr-report {name} -->"


def page(facts: Facts) -> str:
    """The comment as Markdown, within GitHub's limit."""
    top = [marker(facts.stack), "", *_problems(facts), *_warnings(facts)]
    if facts.unchanged and not facts.exit_code:
        recipe = facts.challenger.recipe[:12] if isinstance(facts.challenger, PackageFacts) else ""
        same = f"no resource, and the same model (recipe {code(recipe)})"
        line = f"**Nothing changes on stack {code(facts.stack)}**: {same}."
        return document([*top, line], [])
    sections = [*stack_section.policies(facts), *stack_section.infrastructure(facts)]
    sections += [*model_section.model(facts), *model_section.data(facts), *stack_section.rollout(facts)]
    return document(
        [*top, f"## What this changes on stack {code(facts.stack)}", "", *_short(facts), "", _made(facts)], sections
    )


def _problems(facts: Facts) -> list[str]:
    """Each cause that keeps the change from being released, or this from being known."""
    lines: list[str] = []
    for number, why in facts.problems:
        lines += [f"{'❔ Not known' if number == UNKNOWN else '❌ No'}: {text(' '.join(why.split()), 400)}", ""]
    return lines


def _warnings(facts: Facts) -> list[str]:
    """Why an update would succeed and not release the checkout's model."""
    lines: list[str] = []
    if facts.restored is not None:
        said = f"{facts.restored.reason.text}. Until that is lifted, this checkout's model is not released"
        lines += [f"⚠️ Release {code(facts.restored.release)} is restored on this stack: {text(said, 300)}.", ""]
    if isinstance(facts.rollout, Missing) and facts.rollout.warns:
        lines += [f"⚠️ This checkout's {text(facts.rollout.why, 400)}. The champion keeps serving.", ""]
    return lines


def _short(facts: Facts) -> list[str]:
    rows = [
        ("Preview", _preview(facts)),
        ("Policies", stack_section.policies_in_short(facts)),
        ("Infrastructure", stack_section.infrastructure_in_short(facts)),
        ("Cost", stack_section.cost_in_short(facts)),
        ("Model", model_section.model_in_short(facts)),
        ("Data", model_section.data_in_short(facts)),
        ("Rollout", stack_section.rollout_in_short(facts)),
    ]
    return table(("", ""), [(f"**{name}**", said) for name, said in rows if said])


def _preview(facts: Facts) -> str:
    seen = facts.preview
    if seen.code == 0:
        return "✅ succeeds"
    return f"❌ fails with exit code {seen.code}: {text(seen.cause, 300)}"


def _made(facts: Facts) -> str:
    trained = f"training took {facts.trained:,.0f} s" if facts.trained else "nothing had to be trained"
    if isinstance(facts.challenger, Missing):
        trained = "nothing was trained"
    return f"<sub>Made in {facts.seconds:,.0f} s; {trained}.</sub>"
