"""What a customer's list of a ranking becomes on its way to a page."""
