"""The life of an experiment: drafted, reviewed, started, steered, and shipped or rolled back."""
