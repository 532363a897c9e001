"""What do we say, where, to whom? Campaigns, offers, placements and the deciding itself."""
