"""Is the quantization healthy? Figures of what a batch did, or would do, to a net."""
