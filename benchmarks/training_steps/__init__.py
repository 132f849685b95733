"""Whole training steps of learned primal-dual, on our ray transform and on deepinv's."""
