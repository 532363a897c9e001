"""Lets anybody hold our statistics against theirs: a document of numbers in, estimates out."""
