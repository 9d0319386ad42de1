"""The prepared folder: reading it back, and reporting damage before training starts."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from monitor.errors import InputError
from offline_training.data.condition import CONDITIONING
from offline_training.data.prepared import load_prepared
from offline_training.data.recordings import LabelledNight, split_subjects
from tests.edf_files import write_edf
from tests.offline_training.data.nights import eeg, stages
from tests.offline_training.program import Program


@pytest.fixture
def out(tmp_path: Path, sleep_train: Program) -> Path:
    """Prepare two nights of four epochs; the second epoch of each is flat."""
    for seed, name in enumerate(("a", "b")):
        signal = eeg("Fpz-Cz", 4, seed=seed)
        signal.digital[3000:6000] = 0
        annotations = stages((1, "Sleep stage W"), (3, "Sleep stage N2"))
        (tmp_path / "lab").mkdir(exist_ok=True)
        write_edf(tmp_path / "lab" / f"{name}.edf", [signal], annotations=annotations)
    assert prepare(sleep_train, tmp_path)[0] == 0
    return tmp_path / "prepared"


def prepare(program: Program, folder: Path) -> tuple[int, str, str]:
    folders = ("--root", str(folder / "lab"), "--out", str(folder / "prepared"), "--jobs", "1")
    return program("prepare", "folder", *folders)


def test_recordings_follow_the_protocol_that_training_reads(out: Path) -> None:
    recordings: list[LabelledNight] = list(load_prepared(out))
    a, b = recordings
    assert a.stage.dtype == np.int64
    assert a.stage.tolist() == [0, 2, 2, 2]
    assert a.usable.tolist() == [True, False, True, True]
    epochs_uv = a.epochs_uv(1, 4)
    assert (epochs_uv.shape, epochs_uv.dtype) == ((3, 3000), np.float32)
    assert not epochs_uv[0].any()
    assert epochs_uv[1:].std() > 1.0
    assert a.epochs_uv(2, 2).shape == (0, 3000)
    epochs_uv[:] = np.nan  # The array is a copy: this must not change the file.
    assert np.isfinite(a.epochs_uv(0, 4)).all()
    with pytest.raises(ValueError, match="within 0 to 4"):
        a.epochs_uv(0, 5)
    assert len(split_subjects([a, b], 2, seed=0)) == 2


def test_recordings_can_be_pickled_for_other_processes(out: Path) -> None:
    recording = load_prepared(out)[0]
    copy = pickle.loads(pickle.dumps(recording))
    assert np.array_equal(copy.epochs_uv(0, 4), recording.epochs_uv(0, 4))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"0"),
        lambda path: path.write_bytes(b""),
    ],
)
def test_damage_after_opening_is_reported_when_read(
    out: Path, damage: Callable[[Path], None]
) -> None:
    recording = load_prepared(out)[0]
    damage(recording.path)
    with pytest.raises(InputError, match=r"a\.npy is damaged"):
        recording.epochs_uv(0, 1)


def test_single_epochs_equal_those_of_the_whole_file(out: Path) -> None:
    recording = load_prepared(out)[0]
    whole = np.load(recording.path)
    for epoch in range(4):
        assert np.array_equal(recording.epochs_uv(epoch, epoch + 1), whole[epoch : epoch + 1])


def test_the_folder_may_be_moved(out: Path) -> None:
    moved = out.with_name("moved")
    shutil.move(out, moved)
    assert load_prepared(moved)[0].epochs_uv(0, 1).any()


def _rewrite(name: str, **changes: object) -> Callable[[Path], None]:
    def damage(out: Path) -> None:
        path = out / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return damage


def _truncate(out: Path) -> None:
    path = out / "folder" / "a.npy"
    path.write_bytes(path.read_bytes()[:-1])


def _wrong_header(out: Path) -> None:
    path = out / "folder" / "a.npy"
    path.write_bytes(path.read_bytes().replace(b"<f4", b"<i4"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda out: (out / "index.json").unlink(), "holds no prepared recordings"),
        (_rewrite("index.json", recordings=[]), "holds no prepared recordings"),
        (lambda out: (out / "index.json").write_text("{"), "index.json is damaged"),
        (lambda out: (out / "index.json").write_text("[]"), "index.json is damaged"),
        (_rewrite("index.json", recordings=[{}]), "index.json is damaged"),
        (_rewrite("index.json", layout=99), "has layout 99"),
        (lambda out: (out / "folder" / "a.json").unlink(), "a.json is missing"),
        (lambda out: (out / "folder" / "a.npy").unlink(), "a.npy is missing"),
        (_truncate, "a.npy is damaged"),
        (_wrong_header, "a.npy is damaged"),
        (_rewrite("folder/a.json", stages=[0, 5]), "a.json is damaged"),
        (_rewrite("folder/a.json", unusable={"flat": [9]}), "a.json is damaged"),
        (_rewrite("folder/a.json", surprise=1), "a.json is damaged"),
        (
            _rewrite("folder/a.json", conditioning={**CONDITIONING, "highpass_hz": 0.5}),
            "conditioned by another version",
        ),
    ],
)
def test_damage_is_reported_when_opened(
    out: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(out)
    with pytest.raises(InputError, match=message):
        load_prepared(out)


def test_a_recording_conditioned_differently_is_prepared_again(
    out: Path, tmp_path: Path, sleep_train: Program
) -> None:
    _rewrite("folder/a.json", conditioning={**CONDITIONING, "version": 0})(out)
    assert "(1 prepared now, 1 already there)" in prepare(sleep_train, tmp_path)[1]
    assert len(load_prepared(out)) == 2


def test_check_reads_every_sample(out: Path, tmp_path: Path, sleep_train: Program) -> None:
    code, stdout, _ = sleep_train("prepare", "check", "--out", str(out))
    assert (code, stdout) == (0, f"2 recordings in {out} are whole\n")
    path = out / "folder" / "b.npy"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    assert len(load_prepared(out)) == 2
    code, stdout, stderr = sleep_train("prepare", "check", "--out", str(out))
    assert code == 1
    assert stdout == f"damaged: {path}\n"
    assert "1 of 2 recordings are damaged" in stderr
    path.write_bytes(content[:-1])
    assert "(1 prepared now, 1 already there)" in prepare(sleep_train, tmp_path)[1]
    assert sleep_train("prepare", "check", "--out", str(out))[0] == 0


def test_two_runs_cannot_write_to_one_folder(
    out: Path, tmp_path: Path, sleep_train: Program
) -> None:
    with FileLock(out / ".lock"):
        code, _, stderr = prepare(sleep_train, tmp_path)
    assert code == 2
    assert "another sleep-train prepare is writing" in stderr


def test_a_full_disk_is_one_error_line_and_the_next_run_continues(
    out: Path, tmp_path: Path, sleep_train: Program
) -> None:
    """A limit on file sizes replaces the full disk: the same write fails."""
    resource = pytest.importorskip("resource")
    _rewrite("folder/b.json", subject="folder-other")(out)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        code, _, stderr = prepare(sleep_train, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 1
    assert "b.npy cannot be written" in stderr.splitlines()[-1]
    assert [night.name for night in load_prepared(out)] == ["a"]
    assert not list(out.rglob("*.part"))
    assert "(1 prepared now, 1 already there)" in prepare(sleep_train, tmp_path)[1]
