"""The rotation axis of a scan, from its data alone."""
