"""Whether every event arrives once, through real client libraries and a site that is killed."""
