"""Unpaired training of a reconstruction against a critic, with two optimisers."""
