"""Architectures, one a file."""

from qsnn.models.feedforward import Activity, FeedforwardNet, State, build_feedforward

__all__ = ["Activity", "FeedforwardNet", "State", "build_feedforward"]
