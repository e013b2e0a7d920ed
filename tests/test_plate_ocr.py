"""bench/plate_ocr.py: how texts are compared and crops taken; the net itself runs in the benchmark."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

spec = importlib.util.spec_from_file_location(
    "bench_plate_ocr", Path(__file__).resolve().parents[1] / "bench" / "plate_ocr.py"
)
assert spec is not None
assert spec.loader is not None
plate_ocr = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = plate_ocr
spec.loader.exec_module(plate_ocr)


def test_plate_text_measure() -> None:
    assert plate_ocr.plain("ab-I2 Oé") == "AB120"
    assert plate_ocr.common("AB15XYC", "AB15XYC") == 7
    assert plate_ocr.common("QQA5C", "AB15XYC") == 3
    assert plate_ocr.common("", "AB15XYC") == 0
    assert plate_ocr.majority([["AB12"], ["AB12"], ["A812"], [""]]) == "AB12"
    with pytest.raises(SystemExit):
        plate_ocr.majority([[""], ["1"]])


def test_plate_crop_stays_in_the_picture() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    assert plate_ocr.crop(picture, (50, 30, 60, 40), 1, 1).shape == (20, 20, 3)
    assert plate_ocr.crop(picture, (0, 0, 20, 10), 0.1, 0.1).shape == (12, 22, 3)
