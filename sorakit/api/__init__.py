"""What others reach over HTTP; read-only, on this machine alone unless you say otherwise."""
