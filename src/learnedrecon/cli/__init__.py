"""The command line, with one module per command; torch is imported only when a command runs."""
