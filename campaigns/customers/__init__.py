"""The page of one customer: what is known, what happened, why this offer, and what to do."""
