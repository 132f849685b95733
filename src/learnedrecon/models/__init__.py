"""Methods, one file per paper: a spec, a builder, and how it differs from the paper."""
