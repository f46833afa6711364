"""The folder of a run: who holds it, and how far the run in it is."""
