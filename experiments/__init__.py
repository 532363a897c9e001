"""Did it work? Experiments, their arms and exposures, their statistics and their reports."""
