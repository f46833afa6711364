"""Products of spikes or codes with weights."""
