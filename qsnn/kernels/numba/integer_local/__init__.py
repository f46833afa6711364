"""Local learning in integers: traces, membranes, errors, rounding."""
