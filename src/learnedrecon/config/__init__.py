"""Configuration files: YAML around the specs, so that each default is written once."""
