"""What takes long to make and several tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.export import export_onnx
from models.card import default_weights
from models.contract import Gain


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights for known gain, exported. Not to be changed."""
    folder = tmp_path_factory.mktemp("exported")
    export_onnx(default_weights(Gain.KNOWN), folder)
    return folder
