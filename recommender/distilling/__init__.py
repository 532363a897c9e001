"""Makes a small tree of a learned policy, for clients that draw by themselves."""
