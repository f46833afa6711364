"""Several runs that are trained as one: each gives, to the last bit, what it gives alone."""
