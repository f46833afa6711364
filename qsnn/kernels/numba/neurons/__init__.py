"""Recurrences over time: neurons and filters."""
