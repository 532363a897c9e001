"""The pages on which a metric is defined."""
