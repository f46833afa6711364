"""Architectures, one a file."""

from qsnn.models.pattern_net import PatternNet, PatternNetActivity, PatternNetState, build_pattern_net

__all__ = ["PatternNet", "PatternNetActivity", "PatternNetState", "build_pattern_net"]
