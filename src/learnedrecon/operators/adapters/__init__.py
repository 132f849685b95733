"""Adapters between operators of other libraries and of this one, one file per library.

A library is imported when one of its functions is called. If it is missing, the error names the
extra that installs it.
"""
