"""Runs side by side: what varies among them, what they reached at what cost, and what their differences are worth."""
