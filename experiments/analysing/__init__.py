"""Makes a report of what was measured: comparisons, checks, and a verdict in sentences."""
