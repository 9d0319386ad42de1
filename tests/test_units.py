"""Units of voltage: one table serves EDF, LSL and the options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.units import uv_per_unit

MICRO, MU = "\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"


@pytest.mark.parametrize(
    "unit",
    [
        *("uV", "UV", "uv", " uV ", "u V", "uV.", "[uV]", "uVolt", "uVolts", "muV", "mcV"),
        *("microvolt", "microvolts", "MicroVolts", "MICROVOLTS", "micro-volt", "micro_volt"),
        *("microV", "micro V", "Mikrovolt", MICRO + "V", MU + "V", MICRO + "Volts", "-6", " -6 "),
    ],
)
def test_spellings_of_a_microvolt(unit: str) -> None:
    assert uv_per_unit(unit) == 1.0


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "shift-jis", "gbk", "euc-kr", "cp437"])
def test_the_micro_sign_is_read_in_any_encoding(encoding: str) -> None:
    """The bytes of a header are read as Latin-1, whatever the recorder wrote."""
    for sign in (MICRO, MU):
        try:
            written = f"{sign}V".encode(encoding)
        except UnicodeEncodeError:
            continue  # this code page has the other sign
        assert uv_per_unit(written.decode("latin-1")) == 1.0


def test_the_micro_sign_survives_two_wrong_readings() -> None:
    twice = f"{MICRO}V".encode().decode("latin-1").encode().decode("latin-1")
    assert uv_per_unit(twice) == 1.0


@pytest.mark.parametrize(
    ("unit", "uv"),
    [
        *((unit, 1e-3) for unit in ("nV", "NV", "nanovolts", "nVolt", "-9")),
        *((unit, 1e3) for unit in ("mV", "mv", "mVolt", "mVolts", "millivolt", "MILLIVOLTS", "-3")),
        *((unit, 1e6) for unit in ("V", "v", "Volt", "volts", "VOLTS", "0")),
    ],
)
def test_other_voltages(unit: str, uv: float) -> None:
    assert uv_per_unit(unit) == uv


@pytest.mark.parametrize(
    "unit",
    [
        *("", " ", "-", "MV", "Mv", "MVolt", "M V", "kV", "uVs", "uV2", "uV/bit", "mmHg", "%"),
        *("counts", "m", "u", "-1", "3", "6", "-12", "1e-6", "nan", "?V", "volt meter"),
    ],
)
def test_what_is_no_voltage_stays_unknown(unit: str) -> None:
    assert uv_per_unit(unit) is None


@given(st.text(max_size=40))
def test_any_text_is_a_voltage_or_unknown(unit: str) -> None:
    assert uv_per_unit(unit) in (None, 1e-3, 1.0, 1e3, 1e6)
