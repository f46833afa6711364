"""Data: from files and generators to spike tensors, time first. Knows nothing of nets and of configuration.

Files from outside are never trusted: whatever is wrong with one ends in a DataError of one line that names the file, and
nothing inside a file is run.
"""
