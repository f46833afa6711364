"""What every export that checks itself is given to check: `vectors.golden`."""

from qsnn.deploy.golden.vectors import Golden, golden, random_inputs, steps_for

__all__ = ["Golden", "golden", "random_inputs", "steps_for"]
