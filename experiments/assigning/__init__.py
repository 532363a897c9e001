"""Which arm a customer gets, why, and who met which: the path of one assignment."""
