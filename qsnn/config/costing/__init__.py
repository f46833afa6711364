"""What `qsnn.cost` does: the costs of a run or of a config, as tables and as a file."""
