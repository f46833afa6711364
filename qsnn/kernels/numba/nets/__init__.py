"""Whole passes of a net in one kernel."""
