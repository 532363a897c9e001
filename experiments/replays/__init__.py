"""A/A tests on customers of the past, whom nothing was done to: no effect may be found."""
