"""The sprite world: captioned video with exact ground truth, and the oracle that reads it back."""
