"""What a net costs a machine that is made for it: memory to the bit."""
