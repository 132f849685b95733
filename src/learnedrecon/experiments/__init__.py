"""Runs, comparisons and reconstructions of files: everything that the command line does."""
