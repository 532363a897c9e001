"""Keeps audiences, whether ruled or listed: whom each means, and how many that are."""
