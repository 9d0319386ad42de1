"""Explain what went wrong with a board, and what to do about it."""

from __future__ import annotations

import os
from pathlib import Path

from monitor.sources.brainflow.boards import Board
from monitor.text import clean

MENDS_NEVER = {13, 14}
"""BrainFlow's codes for wrong options and for a board that this computer does not support."""

FAR_AWAY = "switch it on, charge it, bring it near, and disconnect it from the phone or other apps"


def explain(board: Board, code: int | None, text: str) -> str:
    """Return one line for the user about BrainFlow's exit ``code`` (None: no code).

    ``text`` is BrainFlow's own message; it appears only for a code that is not known here. The
    codes are those of ``BrainFlowExitCodes``.
    """
    port = board.params.get("serial_port")
    if isinstance(port, str) and code in (1, 2, 3, 7, 17):
        problem = _port_problem(port)
        if problem:
            return problem
        if code != 7:
            return f"{port} is in use or is no board: close other programs, check --port"
    match code:
        case 1 | 16:
            return f"{board.name} is in use by another program: close it"
        case 2:
            return (
                "Bluetooth is off, missing or not allowed: switch the adapter on, plug one in, "
                "or give this program access to it"
            )
        case 4 | 5 | 6 | 18:
            return f"{board.name} answers wrongly: check --board and --port, switch it off and on"
        case 7:
            return f"{board.name} is not found or does not answer: {FAR_AWAY}"
        case 13:
            return f"{board.name} cannot be used with these options: check --port, --mac, --file"
        case 14:
            return f"{board.name} is not supported by BrainFlow on this computer"
        case 17:
            return (
                f"{board.name} could not be started: check that Bluetooth or the network is on, "
                "then switch the board off and on"
            )
        case _:
            return f"{board.name} failed: {clean(text)}"


def _port_problem(port: str) -> str | None:
    """Return what keeps this process from opening ``port``, or None."""
    if os.name == "nt":  # Windows: serial ports are no files
        return None
    if not Path(port).exists():
        return f"there is no port {port}: plug the dongle in, or check --port"
    if not os.access(port, os.R_OK | os.W_OK):
        return (
            f"{port} may not be opened by this user: add yourself to its group with "
            "'sudo usermod -aG dialout $USER' and log in again"
        )
    return None
