"""Functions that misbehave on purpose, for the tests of `run_guarded`."""
