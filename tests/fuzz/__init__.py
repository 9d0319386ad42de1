"""Fuzzing: inputs that nobody would write by hand, and one rule that every one of them must keep.

An input ends in one of two ways:

- an *error*: `MonitorError` or `InputError`, whose text is one printable line of bounded length;
- the *right result*: an oracle compares it with what the input means. To end without an exception
  is not enough.

An input that is sound must end in the right result.

Every case stays within bounds (`tests.fuzz.bounds`): computing time, memory, and the lines that it
logs. It leaves nothing behind: no file, no thread, no process, no open file.

Each kind of input has a module here, with a class that makes cases (`generate`) and judges them
(`check`). A case depends on its random numbers only. In the long run they come from a seed, so the
seed repeats the case. In the tests they come from hypothesis, which shrinks a case that fails.
Generators change one thing in most cases, so that a failure is small from the start.

`python -m tests.fuzz --help` is the long run.
"""
