"""Errors a user can mend. The command line prints their text as one line and exits.

MonitorError                 exit 1: the run failed
└── InputError               exit 2: the input or the command is wrong, nothing was started
"""


class MonitorError(Exception):
    """The run failed; the text says what happened and what to do."""

    exit_code = 1


class InputError(MonitorError):
    """A file, option or value is wrong; the text names it, the rule it breaks and what to do."""

    exit_code = 2
