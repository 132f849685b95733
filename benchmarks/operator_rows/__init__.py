"""The parts of the comparison of operators, one file for each family."""
