"""Configuration files: YAML of the specs, which define each default once."""
