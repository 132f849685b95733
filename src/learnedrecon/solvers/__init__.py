"""Classical reconstruction: plain functions without weights that say how they ended."""
