"""Prepared event data sets: the cache on disk, splits without leakage, windows, batches."""
