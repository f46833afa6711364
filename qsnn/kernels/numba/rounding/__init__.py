"""Number formats: quantizers, stochastic rounding, weight updates."""
