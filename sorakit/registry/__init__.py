"""Where published manifests are kept, so that a stripped file finds its own again through the watermark."""
