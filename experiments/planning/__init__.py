"""What is promised before the first result: how long it takes, what to expect, and the plan."""
