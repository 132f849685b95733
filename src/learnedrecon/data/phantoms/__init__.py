"""Phantoms with closed forms or drawn at random."""
