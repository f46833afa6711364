"""The equations of a training step, as fast as the device allows: backends that agree to the last bit on grids."""
