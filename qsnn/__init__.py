"""qsnn: train and run spiking neural networks on few bits, from one Hydra config."""

__version__ = "0.2.0"
