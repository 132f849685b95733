"""Training steps whose memory is measured."""
