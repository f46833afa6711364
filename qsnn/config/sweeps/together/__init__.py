"""``trainer.vectorize=seed``: jobs of a sweep that differ in nothing but the seed are trained as one."""
