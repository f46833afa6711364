"""From the folder of a run to integers: what `qsnn.export` and `qsnn.verify` do."""
