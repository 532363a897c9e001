"""From what is known of a customer to the weight of each offer, without torch."""
