"""Rules: which defects a campaign may make, where, how many and how close."""

from defects.rules.names import parse_defect
from defects.rules.ruleset import RuleSet, rule_set
from defects.rules.schema import Near, Rules

__all__ = ["Near", "RuleSet", "Rules", "parse_defect", "rule_set"]
