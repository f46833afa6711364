"""Losses as modules."""

from qsnn.losses.van_rossum import VanRossumDistance

__all__ = ["VanRossumDistance"]
