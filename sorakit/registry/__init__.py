"""What was published: manifests, soft bindings, fingerprints, audit log."""
