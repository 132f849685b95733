"""Other libraries' operators as ours, and ours as theirs: one file per library.

A library is imported when one of its functions is called, and named with its extra where it is
missing.
"""
