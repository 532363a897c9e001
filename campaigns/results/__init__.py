"""What a campaign was worth: against its hold-out, by segment and by offer."""
