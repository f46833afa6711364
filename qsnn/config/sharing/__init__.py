"""A run that several processes share, started by torchrun: what they agree on before it begins."""
