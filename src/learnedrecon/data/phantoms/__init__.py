"""Phantoms in closed form or drawn at random."""
