"""The two ways to learn, as options: from the chosen options to a run."""
