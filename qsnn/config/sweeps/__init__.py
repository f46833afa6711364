"""Sweeps: which jobs are still to do, who does them, and what became of each."""
