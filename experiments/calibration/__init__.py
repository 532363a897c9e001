"""Checks by simulation that the product's own functions keep what they promise.

python -m experiments.calibration --write docs/calibration.md
"""
