"""Takes events in: from a request in the contract of Segment to rows, each stored once."""
