"""The numba backend: the definitions again, jitted, equal to the last bit on grids."""
