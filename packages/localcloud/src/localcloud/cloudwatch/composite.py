"""Rules of composite alarms: `ALARM("5xx") AND NOT OK(latency)`.

rule = parse_rule('ALARM("a") OR (OK(b) AND NOT INSUFFICIENT_DATA(c))')
rule.holds({"a": "OK", "b": "OK", "c": "ALARM"})
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from localcloud.cloudwatch.errors import validation_error

_TOKEN = re.compile(
    r"\s*(?:(?P<test>(?:ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s()\"']+)\s*\))"
    r"|(?P<word>AND|OR|NOT|TRUE|FALSE)\b|(?P<sign>[()]))"
)
_TEST = re.compile(r"(ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(.*?)\s*\)", re.DOTALL)
_ARN = re.compile(r"arn:aws[a-z-]*:cloudwatch:[^:]*:[^:]*:alarm:(.+)")
_MAX_DEPTH = 50
_MAX_CHILDREN = 100


@dataclass(frozen=True)
class Test:
    """Whether an alarm is in a state."""

    state: str
    alarm: str


@dataclass(frozen=True)
class Rule:
    """A rule, or a part of one: `op` is `and`, `or`, `not`, `true`, `false` or `test`."""

    op: str
    parts: tuple[Rule, ...] = ()
    test: Test | None = None

    def holds(self, states: Mapping[str, str]) -> bool:
        """Whether the rule is true when alarms are in these states; an alarm that is not among them is in none."""
        if self.op == "test":
            return self.test is not None and states.get(self.test.alarm) == self.test.state
        if self.op == "not":
            return not self.parts[0].holds(states)
        if self.op == "and":
            return all(part.holds(states) for part in self.parts)
        return any(part.holds(states) for part in self.parts) if self.op == "or" else self.op == "true"

    @property
    def children(self) -> frozenset[str]:
        """Names of the alarms that the rule asks about."""
        own = frozenset([self.test.alarm]) if self.test else frozenset()
        return own.union(*(part.children for part in self.parts))


def parse_rule(text: str) -> Rule:
    """Read a rule.

    Raises:
        CloudWatchError: It does not follow the grammar, or asks about more than 100 alarms.
    """
    rule = _Parser(text).whole()
    if len(rule.children) > _MAX_CHILDREN:
        raise validation_error(f"the rule asks about {len(rule.children)} alarms; at most {_MAX_CHILDREN} are allowed")
    return rule


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.depth = 0
        self.next = 0
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise validation_error(
                    f"AlarmRule cannot be read at {position}: {text[position : position + 30]!r}; expected "
                    'ALARM("name"), OK("name"), INSUFFICIENT_DATA("name"), TRUE, FALSE, AND, OR, NOT or parentheses'
                )
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    def whole(self) -> Rule:
        rule = self.either()
        if self.next < len(self.tokens):
            raise validation_error(f"AlarmRule has {self.tokens[self.next][1]!r} where it should end, or AND or OR")
        return rule

    def accept(self, token: str) -> bool:
        if self.next < len(self.tokens) and self.tokens[self.next][1] == token:
            self.next += 1
            return True
        return False

    def either(self) -> Rule:
        parts = [self.both()]
        while self.accept("OR"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else Rule("or", tuple(parts))

    def both(self) -> Rule:
        parts = [self.one()]
        while self.accept("AND"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else Rule("and", tuple(parts))

    def one(self) -> Rule:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise validation_error(f"AlarmRule is nested more than {_MAX_DEPTH} deep")
        rule = self.atom()
        self.depth -= 1
        return rule

    def atom(self) -> Rule:
        if self.accept("NOT"):
            return Rule("not", (self.one(),))
        if self.accept("("):
            rule = self.either()
            if not self.accept(")"):
                raise validation_error("AlarmRule has a parenthesis that does not close")
            return rule
        if self.next < len(self.tokens):
            kind, token = self.tokens[self.next]
            self.next += 1
            if token in ("TRUE", "FALSE"):
                return Rule(token.lower())
            if kind == "test" and (match := _TEST.fullmatch(token)):
                return Rule("test", test=Test(match[1], _name(match[2])))
            raise validation_error(f"AlarmRule has {token!r} where a state of an alarm was expected")
        raise validation_error("AlarmRule ends where a state of an alarm was expected")


def _name(written: str) -> str:
    if written[:1] in "\"'":
        written = re.sub(r"\\(.)", r"\1", written[1:-1])
    arn = _ARN.fullmatch(written)
    return arn[1] if arn else written
