"""Calibration: language bias taken out of vectors and scores, without training."""

from beir_hybrid.calibration.calibration import Calibration, as_calibration
from beir_hybrid.calibration.fit import calibrate

__all__ = ["Calibration", "as_calibration", "calibrate"]
