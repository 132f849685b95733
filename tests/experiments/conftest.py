"""The command line and a trained run, as the tests of the commands have them."""

from tests.cli.conftest import cli, config, place, refused, small, trained

__all__ = ["cli", "config", "place", "refused", "small", "trained"]
