"""Invisible marks on the luma plane."""
