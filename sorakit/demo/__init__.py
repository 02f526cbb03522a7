"""The demo: one story told from end to end, and its report. `sorakit.cli.demo` does the printing."""
