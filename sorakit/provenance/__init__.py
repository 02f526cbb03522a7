"""C2PA: keys, manifests, signing, verifying."""
