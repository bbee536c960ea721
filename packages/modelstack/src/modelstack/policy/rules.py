"""All rules of the pack, by theme."""

from modelstack.policy import cluster, cost, encryption, exposure, keeping, permissions, variants
from modelstack.policy.rule import Rule

THEMES: dict[str, tuple[Rule, ...]] = {
    "Encryption": encryption.RULES,
    "Exposure": exposure.RULES,
    "Permissions": permissions.RULES,
    "Kubernetes": cluster.RULES,
    "Serving": variants.RULES,
    "Keeping": keeping.RULES,
    "Cost": cost.RULES,
}
RULES: tuple[Rule, ...] = tuple(rule for rules in THEMES.values() for rule in rules)
