"""Convolutional layers of spiking neurons: sums over spikes, errors of codes, neurons with pooling."""
