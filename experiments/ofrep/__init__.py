"""OpenFeature's remote evaluation protocol (OFREP 0.3): experiments, asked for as flags."""
