"""Local learning: traces, membranes, errors, products of winners."""
