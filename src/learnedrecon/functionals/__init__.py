"""Data terms D(v; y) and regularisers R(u)."""
