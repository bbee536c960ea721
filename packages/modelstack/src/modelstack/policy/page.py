"""`make docs`: prints docs/reference/policies.md, the reference of the policy pack, or writes it (`--write`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from modelstack.policy.cost import HOURLY, PRICED_ON
from modelstack.policy.rule import Rule, StackRule
from modelstack.policy.rules import THEMES
from modelstack.policy.stacks import OTHERS, PROD

PAGE = Path("docs") / "reference" / "policies.md"
_HEAD = """# Policies

What is forbidden in every stack. Pulumi's engine asks these rules at each `pulumi preview` and `pulumi up` that runs
the policy pack in `policy/`. This page is made from the rules (`make docs`). How to run the pack, and how to exempt a
resource: [Keep to the policies](../how-to/policies.md).

- **Asked**: *before each change* means before the resource itself is made or changed. *At the end* means of all
  resources together, at the end of a preview or update. Each `pulumi up` begins with a preview, so a finding of either
  kind stops it before anything changes, unless somebody types `--skip-preview`.
- **A finding** *stops* the preview or update, or *is told* and stops nothing.
- What is not known before the update, such as the ARN of a key that is yet to be made, is no finding of a preview. The
  update asks again, when it is known.
- **A type that the pack does not know** is a finding (`known-types`): a stack of CloudFormation, a chart of Helm, an
  image of a machine, a type of `aws-native`. The known types are `KNOWN` in `modelstack/policy/tokens.py`.
- **What the pack does not see**: whether an account that a policy names is the right one, and what a policy or a Role
  outside the stack allows that is attached or bound by its name.
- **Control** names where the rule comes from: AWS Security Hub (Foundational Security Best Practices), the CIS AWS
  Foundations Benchmark, NIST's AI Risk Management Framework 1.0, or the AWS Well-Architected Framework. A rule may ask
  for more than its control, or for a part of it.
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for theme, rules in THEMES.items():
        head = ("rule", "requirement", "control", "checked", "a finding")
        parts.append(f"## {theme}\n\n{_table(_rows(rules), head)}")
    parts.append(_prices())
    return "\n".join(parts)


def _rows(rules: tuple[Rule, ...]) -> Iterator[tuple[str, ...]]:
    for rule in rules:
        where = f" Only on {rule.stacks}." if rule.stacks else ""
        when = "at the end" if isinstance(rule, StackRule) else "before each change"
        follows = "is reported" if rule.advisory else "stops"
        yield f"`{rule.name}`", f"{rule.requires}{where} {rule.fix}", rule.control, when, follows


def _prices() -> str:
    ceilings = _table(((each.stacks, f"{each.monthly:,}") for each in (PROD, OTHERS)), ("stacks", "USD a month"))
    prices = _table(((f"`{kind}`", f"{hourly:g}") for kind, hourly in HOURLY.items()), ("instance type", "USD an hour"))
    return f"""## What instances may cost

The instances of one endpoint config may cost at most this. A trial has a config with both variants, so it costs both.

{ceilings}
The prices are of real-time inference, on demand, in us-east-1, after Amazon SageMaker's price page. They were written
by hand on {PRICED_ON}, and nothing keeps them current: check them before you rely on the ceiling. A type that is not
in the table is told by the rule `priced`, and left out of the sum.

{prices}"""


def _table(rows: Iterator[tuple[str, ...]], head: tuple[str, ...]) -> str:
    lines = [f"| {' | '.join(cells)} |\n" for cells in (head, *rows)]
    return "".join([lines[0], f"|{'---|' * len(head)}\n", *lines[1:]])


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())
