"""Whether offers that unmodified SDKs draw come back as decisions that can be learned from."""
