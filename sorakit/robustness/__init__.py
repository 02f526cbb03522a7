"""Measure how robust marks are: attacks on files, and schemes against attacks over many clips."""
