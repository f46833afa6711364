"""Searching bit widths: fewest bits, smallest error. Only `study` knows optuna."""
