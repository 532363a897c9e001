"""Published experiments, brought in as campaigns that ran elsewhere."""
