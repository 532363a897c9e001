"""How long and where events are kept: by month, in the lake, and until they are forgotten."""
