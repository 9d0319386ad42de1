"""Starts the rules of each sleeper of a run."""

from __future__ import annotations

import logging
from contextlib import ExitStack

from monitor.clock import Clock
from monitor.config import LiveOptions
from monitor.rules.actions import Actor
from monitor.rules.runner import RuleRunner

_log = logging.getLogger(__name__)


def rule_runners(options: LiveOptions, clock: Clock, stack: ExitStack) -> dict[str, RuleRunner]:
    """Start the rules of each sleeper who has any, by the sleeper's name; ``stack`` ends them."""
    now = clock.utc().astimezone().replace(tzinfo=None)
    for rule in options.rules:
        if rule.arm is not None and rule.arm.until is not None and rule.arm.until <= now:
            _log.warning(
                "The rule '%s' does nothing: its arm expired %s", rule.name, rule.arm.until
            )
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
