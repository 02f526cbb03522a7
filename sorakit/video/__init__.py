"""Reading, writing and guarding video files."""
