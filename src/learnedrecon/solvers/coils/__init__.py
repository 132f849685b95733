"""Coil sensitivity maps from calibration data."""
