"""Starts the rules of each sleeper of a run."""

from __future__ import annotations

from contextlib import ExitStack

from monitor.clock import Clock
from monitor.config import LiveOptions
from monitor.rules.actions import Actor
from monitor.rules.runner import RuleRunner


def rule_runners(options: LiveOptions, clock: Clock, stack: ExitStack) -> dict[str, RuleRunner]:
    """Start the rules of each sleeper who has any, by the sleeper's name; ``stack`` ends them."""
    runners = {}
    for each in options.sleepers:
        name = each.sleeper
        rules = [rule for rule in options.rules if rule.sleeper in (None, name)]
        if rules:
            actor = Actor(options.ways, clock, name)
            runner = RuleRunner(rules, actor, clock, lambda utc: utc.astimezone(), name)
            stack.callback(runner.close)
            runner.start()
            runners[name] = runner
    return runners
