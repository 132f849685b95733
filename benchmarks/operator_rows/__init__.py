"""What `operators.py` measures: one file per family, each with a function of :class:`Settings`."""
