"""Describe BrainFlow's boards before one is switched on: channels, options, derivations."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

from monitor.config import BrainflowConfig
from monitor.errors import InputError
from monitor.sources.brainflow.library import board_shim
from monitor.text import clean
from monitor.types import MIN_SFREQ_HZ

MUSE = ("AF7-TP9", "AF8-TP10", "AF7-TP10", "AF8-TP9")
OPENBCI = ("Fp1", "Fp2", "C3", "C4")
CANDIDATES = {
    "muse_": MUSE,
    "cyton": OPENBCI,
    "ganglion": ("1", "2", "3", "4"),
    "crown": ("F5", "F6", "C3", "C4"),
    "notion": ("F5", "F6", "C3", "C4"),
    "brainbit": ("T3", "T4", "O1", "O2"),
}
"""Derivations by the beginning of a board's name, best first. HEADBANDS.md gives the reasons."""

SERIAL = (
    *("cyton", "cyton_daisy", "ganglion", "freeeeg32", "freeeeg128", "ironbci_32"),
    *("brainbit_bled", "muse_s_bled", "muse_2_bled", "muse_2016_bled"),
    *("neuropawn_knight", "neuropawn_knight_imu"),
)
"""Boards that need the serial port of a dongle."""

NETWORK = ("cyton_wifi", "cyton_daisy_wifi", "ganglion_wifi", "ntl_wifi", "biolistener")
"""Boards that need an address and a port in the network."""

SECOND_HAND = ("playback_file", "streaming")
"""Boards of BrainFlow that pass on the samples of another board."""

OTHER_NAMES = {"playback": "playback_file", "muse_athena": "muse_s_athena"}
"""Short names that this monitor accepts besides BrainFlow's own."""

EEG_ONLY = "p21"
"""The Athena's preset without its lamps: with them the battery is empty in about 2 h."""

ADDRESS = re.compile(r"(?P<ip>\d+\.\d+\.\d+\.\d+)?:?(?P<port>\d+)?")


@dataclass(frozen=True, slots=True)
class Board:
    """A board and the options to reach it.

    - ``params``: fields of BrainFlow's ``BrainFlowInputParams``.
    - ``eeg_rows``, ``number_row`` (package numbers) and ``time_row`` (stamps) count the rows of
      BrainFlow's data. ``eeg_rows`` has the order of ``channels``.
    - ``stamped_here``: True if the clock of this computer makes the stamps.
    - ``candidates`` and ``notes`` as in `live.Device`.
    """

    name: str
    board_id: int
    params: dict[str, str | int]
    channels: tuple[str, ...]
    eeg_rows: tuple[int, ...]
    number_row: int
    time_row: int
    sfreq_hz: float
    stamped_here: bool
    candidates: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileLayout:
    """The columns of a file that BrainFlow writes for a board; ``names`` are those of the board.

    Several boards may share a layout.
    """

    names: tuple[str, ...]
    columns: tuple[int, ...]
    time_column: int
    number_column: int
    sfreq_hz: float


def file_layouts(n_columns: int) -> dict[str, FileLayout]:
    """Return the layout of each EEG board whose files have ``n_columns``, by the board's name.

    Raises `InputError` if BrainFlow cannot be loaded.
    """
    library = board_shim()
    layouts = {}
    for name, board_id in _ids(library).items():
        try:
            described = library.BoardShim.get_board_descr(board_id)
        except library.BrainFlowError:  # it describes another board: playback, streaming
            continue
        if described.get("num_rows") == n_columns and _usable(described):
            layouts[name] = FileLayout(
                _channels(described),
                tuple(described["eeg_channels"]),
                described["timestamp_channel"],
                described["package_num_channel"],
                float(described["sampling_rate"]),
            )
    return layouts


def board_channels(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the channels of the board ``name``, and the notes for the user about their names."""
    library = board_shim()
    channels = _channels(_described(library, _ids(library)[name], name))
    return channels, _notes(name, channels)


def find_board(config: BrainflowConfig) -> Board:
    """Return the board that ``config`` names.

    Raises `InputError` for a board that does not exist, records no EEG, or lacks an option, and if
    BrainFlow cannot be loaded.
    """
    library = board_shim()
    requested, _, master = _plain(config.board).partition(":")
    ids = _ids(library)
    name = _known(requested, ids)
    params = _params(config)
    _check_options(name, config, params)
    recorder = name
    if name in SECOND_HAND:
        recorder = _known(master, ids) if master else name
        if recorder in SECOND_HAND:
            raise InputError(
                f"--board {config.board}: name the board that recorded it, "
                f"such as --board {name.removesuffix('_file')}:muse_2"
            )
        params["master_board"] = ids[recorder]
    elif master:
        raise InputError(f"--board {config.board}: only playback and streaming take another board")
    if name == "muse_s_athena":
        params["other_info"] = EEG_ONLY
    described = _described(library, ids[recorder], recorder)
    channels = _channels(described)
    return Board(
        name=f"{name}:{recorder}" if master else name,
        board_id=ids[name],
        params=params,
        channels=channels,
        eeg_rows=tuple(described["eeg_channels"]),
        number_row=described["package_num_channel"],
        time_row=described["timestamp_channel"],
        sfreq_hz=float(described["sampling_rate"]),
        # A streaming board passes on the stamps of another computer.
        stamped_here=name != "streaming",
        candidates=_candidates(recorder, channels),
        notes=_notes(recorder, channels),
    )


def _channels(described: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the EEG channels, or numbers for a board that names none."""
    count = len(described["eeg_channels"])
    names = described.get("eeg_names") or ",".join(str(1 + i) for i in range(count))
    return tuple(map(clean, names.split(",")))


def _usable(described: dict[str, Any]) -> bool:
    return bool(described.get("eeg_channels")) and described["sampling_rate"] >= MIN_SFREQ_HZ


def _plain(name: str) -> str:
    return re.sub(r"[\s-]", "_", name.strip().lower())


def _ids(library: Any) -> dict[str, int]:
    """Return BrainFlow's id of each board by its name in lower case."""
    return {
        board.name.lower().replace("_board", ""): board.value
        for board in library.BoardIds
        if board.name != "NO_BOARD"
    }


def _known(requested: str, ids: dict[str, int]) -> str:
    """Return the name in ``ids`` of the board that the user named."""
    name = requested.replace("_board", "")
    name = OTHER_NAMES.get(name, name)
    if name not in ids:
        close = difflib.get_close_matches(name, [*ids, *OTHER_NAMES], n=4, cutoff=0.5)
        hint = f"did you mean {', '.join(close)}?" if close else f"known are {', '.join(ids)}"
        raise InputError(f"--board {name}: BrainFlow knows no such board; {hint}")
    return name


def _params(config: BrainflowConfig) -> dict[str, str | int]:
    """Return BrainFlow's parameters.

    ``--port`` is a serial port or, for boards in a network, ``IP``, ``IP:PORT`` or a number.
    """
    params: dict[str, str | int] = {}
    if config.port:
        address = ADDRESS.fullmatch(config.port)
        if address is None:
            params["serial_port"] = config.port
        else:
            if address["ip"]:
                params["ip_address"] = address["ip"]
            if address["port"]:
                params["ip_port"] = int(address["port"])
    if config.mac:
        params["mac_address"] = config.mac
    if config.serial:
        params["serial_number"] = config.serial
    if config.file is not None:
        params["file"] = str(config.file)
    return params


def _check_options(name: str, config: BrainflowConfig, params: dict[str, str | int]) -> None:
    """Raise `InputError` if an option is missing, or a file cannot be played."""
    if name in SERIAL and "serial_port" not in params:
        raise InputError(
            f"--board {name} needs --port, the serial port of its dongle, "
            "such as /dev/ttyUSB0, /dev/cu.usbserial-DM00 or COM3"
        )
    if name in NETWORK and "ip_port" not in params:
        raise InputError(
            f"--board {name} needs --port, its address and a free port, such as 192.168.4.1:6987"
        )
    if name == "streaming" and not {"ip_address", "ip_port"} <= params.keys():
        raise InputError(
            "--board streaming needs --port, the multicast address it listens to, "
            "such as 225.1.1.1:6677"
        )
    if name == "playback_file":
        if config.file is None:
            raise InputError("--board playback needs --file, a recording made by BrainFlow")
        if not config.file.is_file():
            raise InputError(f"--file {config.file}: there is no such file")
        if not config.file.stat().st_size:
            raise InputError(f"--file {config.file}: the file is empty")


def _described(library: Any, board_id: int, name: str) -> dict[str, Any]:
    """Return BrainFlow's description of a board.

    Raises `InputError` if it records no EEG, or samples below 80 Hz.
    """
    described: dict[str, Any] = library.BoardShim.get_board_descr(board_id)
    if not described.get("eeg_channels"):
        raise InputError(f"--board {name} records no EEG")
    if described["sampling_rate"] < MIN_SFREQ_HZ:
        raise InputError(
            f"--board {name} samples at {described['sampling_rate']} Hz; "
            f"sleep staging needs {MIN_SFREQ_HZ:.0f} Hz"
        )
    return described


def _candidates(name: str, channels: tuple[str, ...]) -> tuple[str, ...]:
    found = next((c for start, c in CANDIDATES.items() if name.startswith(start)), ())
    all_exist = all(set(candidate.split("-")) <= set(channels) for candidate in found)
    # BrainFlow does not name the channels of WiFi boards: use as many of their numbers.
    return found if all_exist else channels[: len(found)]


def _notes(name: str, channels: tuple[str, ...]) -> tuple[str, ...]:
    if name.startswith("cyton") and "Fp1" in channels:
        return (
            "The names of the channels are BrainFlow's; if your electrodes are elsewhere, "
            "choose with --channel.",
        )
    if name == "muse_s_athena":
        return (
            "The scale of the Athena's microvolts is uncertain: drivers differ by a factor of "
            "4.5. Use --gain unknown.",
        )
    if channels[0] == "1":
        return ("This board does not name its channels; choose the frontal ones with --channel.",)
    return ()
