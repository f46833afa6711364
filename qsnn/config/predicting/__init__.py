"""What `qsnn.predict` does: a request, recordings of any kind, answers as text or tables."""
