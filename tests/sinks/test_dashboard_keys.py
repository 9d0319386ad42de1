"""Keys at the dashboard, on a real pseudo-terminal."""

from __future__ import annotations

import io
import os
import pty
import select
import sys
import termios
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from subprocess import Popen

import pytest

from monitor.cli import INTERRUPTED
from monitor.clock import ManualClock
from monitor.sinks.dashboard import Dashboard, Look
from monitor.sinks.dashboard.background import ASK, Background
from monitor.sinks.dashboard.desk import Desk
from monitor.sinks.dashboard.keys import Keyboard, KeyParser
from monitor.sinks.dashboard.palette import DARK, LIGHT
from monitor.sinks.dashboard.screen import restore_terminals
from tests.nights import EXCERPT
from tests.sinks.night_example import night_state
from tests.sinks.terminals import LEAVE, Terminal, console_on
from tests.sinks.waiting import LIMIT_S, until

WHITE = b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\"
SENT = b"q\x1b[?62;4;22c" + WHITE + b"v\x1bOP\x1b[1;5A\x1b]11;rgb:q/v/y\x07?\x1bvx\x1bPq?\x1b\\y"
"""Keys q, v, ?, x and y among what a terminal sends by itself."""


@pytest.fixture
def wires() -> Iterator[tuple[int, int]]:
    """Yield the two ends of a terminal: the person's, and the program's."""
    person, program = pty.openpty()
    try:
        yield person, program
    finally:
        os.close(program)
        os.close(person)


def modes(fd: int) -> int:
    """Return the modes of a terminal that the keyboard changes."""
    return int(termios.tcgetattr(fd)[3]) & (termios.ICANON | termios.ECHO)


def press(fd: int, keys: bytes, keyboard: Keyboard) -> list[str]:
    os.write(fd, keys)
    return keyboard.read(LIMIT_S)


@pytest.mark.parametrize("cut", range(len(SENT) + 1))
def test_what_a_terminal_sends_by_itself_is_no_key_however_it_is_cut(cut: int) -> None:
    parser = KeyParser()
    keys = parser.feed(SENT[:cut]) + parser.feed(SENT[cut:])
    # A key pressed with Alt that is cut after its ESC looks like Escape and the key.
    alt = SENT[:cut].endswith(b"\x07?\x1b")
    expected = ["q", "v", "?", *(["v"] if alt else []), "x", "y"]
    assert [key for key in keys if key != "esc"] == expected
    assert parser.answers == [b"11;rgb:ffff/ffff/ffff", b"11;rgb:q/v/y"]


def test_a_broken_sequence_does_not_swallow_the_keys_after_it() -> None:
    parser = KeyParser()
    parser.feed(b"\x1b]11;" + 200 * b"0")
    assert parser.feed(b"q")[-1:] == ["q"]
    assert KeyParser().feed("\xe9q\n\t\x00".encode()) == ["q"]
    assert KeyParser().feed(b"\x1b") == ["esc"]


def test_keys_come_at_once_without_echo_and_the_modes_come_back(wires: tuple[int, int]) -> None:
    person, program = wires
    before = termios.tcgetattr(program)
    with Keyboard(program) as keyboard:
        assert keyboard.read() == []
        assert press(person, b"v", keyboard) == ["v"]
        assert modes(program) == 0
        assert termios.tcgetattr(program)[3] & termios.ISIG  # Ctrl-C stays a signal
        assert select.select([person], [], [], 0)[0] == []
        # A shell that stopped the program has set its own modes.
        termios.tcsetattr(program, termios.TCSANOW, before)
        assert keyboard.read() == []
        assert modes(program) == 0
        keyboard.give_back()
        assert termios.tcgetattr(program) == before
    assert termios.tcgetattr(program) == before
    assert keyboard.read() == []


def test_a_terminal_that_is_gone_has_no_keys() -> None:
    person, program = pty.openpty()
    with Keyboard(program) as keyboard:
        keyboard.read()
        os.close(person)
        assert keyboard.read() == []
        assert keyboard.read() == []
    os.close(program)
    assert keyboard.read() == []


def test_only_a_terminal_has_keys(tmp_path: Path) -> None:
    closed = (tmp_path / "closed").open("w")
    closed.close()
    read, write = os.pipe()
    with os.fdopen(read) as pipe, os.fdopen(write, "w") as end, Path(os.devnull).open() as nothing:
        for stream in (None, io.StringIO(), closed, pipe, end, nothing):
            assert Keyboard.of(stream) is None


def desk_on(program: int, ends: list[str] | None = None, plain: bool = True) -> Desk:
    end = (lambda: None) if ends is None else (lambda: ends.append("end"))
    background = Background("auto", {"TERM": "xterm"})
    return Desk(background, Keyboard(program), plain=plain, end=end)


def after(wires: tuple[int, int], desk: Desk, keys: bytes, now_s: float = 0.0) -> Desk:
    os.write(wires[0], keys)
    desk.listen(now_s, LIMIT_S)
    return desk


def test_v_changes_the_view_and_a_question_mark_opens_the_legend(wires: tuple[int, int]) -> None:
    with desk_on(wires[1]) as desk:
        assert desk.look(Look()).plain
        assert not after(wires, desk, b"v").look(Look()).plain
        assert after(wires, desk, b"v?").choices.legend
        assert not after(wires, desk, b"?").choices.legend
        assert not after(wires, desk, b"?x").choices.legend
        assert desk.look(Look()).plain


@pytest.mark.parametrize("no", [b"n", b"q", b"x", b" ", b"\x1b"])
def test_q_asks_and_only_y_ends(no: bytes, wires: tuple[int, int]) -> None:
    ends: list[str] = []
    with desk_on(wires[1], ends) as desk:
        assert after(wires, desk, b"q").choices.asked_s == 0.0
        assert after(wires, desk, no).choices.asked_s is None
        assert after(wires, desk, b"y").choices.ending is False
        assert ends == []
        assert after(wires, desk, b"qy").choices.ending
        assert desk.notice(None) == "Ending the night in order; Ctrl-C ends it at once"
        after(wires, desk, b"qyv")
        assert ends == ["end"]
        assert desk.choices.plain


def test_a_question_that_nobody_answers_is_withdrawn(wires: tuple[int, int]) -> None:
    ends: list[str] = []
    with desk_on(wires[1], ends) as desk:
        after(wires, desk, b"q")
        desk.listen(31.0)
        assert desk.choices.asked_s is None
        after(wires, desk, b"y", 32.0)
    assert ends == []


def test_the_screen_asks_for_the_background_and_takes_the_answer(wires: tuple[int, int]) -> None:
    person, program = wires
    before, terminal, clock = termios.tcgetattr(program), Terminal(), ManualClock()
    ends: list[str] = []
    desk = desk_on(program, ends, plain=False)
    with Dashboard(console_on(terminal), clock, timezone=UTC, desk=desk) as dashboard:
        assert ASK in terminal.getvalue()
        dashboard.update(night_state(100))
        until(lambda: dashboard.frames == 1, "the first frame")
        assert desk.look(Look()).palette is DARK
        os.write(person, WHITE)
        until(lambda: dashboard.frames == 2, "a frame in the light colours")
        assert desk.look(Look()).palette is LIGHT
        os.write(person, b"q")
        until(lambda: "End the night?" in terminal.getvalue(), "the question")
        os.write(person, b"y")
        until(lambda: ends == ["end"], "the end")
    assert termios.tcgetattr(program) == before
    assert desk.question == ""


def test_the_terminal_is_given_back_at_once_even_if_it_is_paused(wires: tuple[int, int]) -> None:
    _, program = wires
    before, terminal = termios.tcgetattr(program), Terminal()
    with Dashboard(console_on(terminal), ManualClock(), desk=desk_on(program)) as dashboard:
        terminal.block()
        dashboard.update(night_state(100))
        until(lambda: terminal.blocks_a_writer, "the frame to wait for the terminal")
        restore_terminals()
        assert termios.tcgetattr(program) == before
        terminal.unblock()


def test_a_failure_while_drawing_gives_the_keys_back(
    wires: tuple[int, int], terminal_log: Terminal
) -> None:
    _, program = wires
    before, terminal, clock = termios.tcgetattr(program), Terminal(), ManualClock()
    with Dashboard(console_on(terminal), clock, desk=desk_on(program)) as dashboard:
        dashboard.update(night_state(100))
        until(lambda: dashboard.frames == 1, "the first frame")
        terminal.broken = True
        dashboard.update(night_state(101))
        clock.advance(1.0)
        until(lambda: "could not draw" in terminal_log.getvalue(), "the error")
        assert termios.tcgetattr(program) == before


def test_q_ends_the_program_and_leaves_the_terminal_as_it_was(
    wires: tuple[int, int], tmp_path: Path
) -> None:
    person, program = wires
    before = termios.tcgetattr(program)
    options = ("--speed", "60", "--no-redis", "--theme", "dark")
    command = [sys.executable, "-m", "monitor.cli", "replay", str(EXCERPT), *options]
    wide = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    with Popen(
        command, stdin=program, stdout=program, stderr=program, env=wide, start_new_session=True
    ) as process:
        shown = b""

        def wait_for(words: bytes) -> None:
            nonlocal shown
            while words not in shown:
                assert select.select([person], [], [], LIMIT_S)[0], shown
                shown += os.read(person, 65536)

        try:
            wait_for(b"of 167 epochs")
            os.write(person, b"q")
            wait_for(b"End the replay?")
            os.write(person, b"y")
            wait_for(LEAVE.encode())
            wait_for(b"interrupted")
            assert process.wait(LIMIT_S) == INTERRUPTED
        finally:
            process.kill()
    assert termios.tcgetattr(program) == before
