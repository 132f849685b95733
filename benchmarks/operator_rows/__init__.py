"""The parts of the comparison of operators, one file for each family."""
"""What `operators.py` measures: one file per family, each with a function of :class:`Settings`."""
