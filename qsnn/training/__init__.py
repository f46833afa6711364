"""The training loop and what surrounds it: checkpoints, metrics, TensorBoard, health of the quantization, pictures."""
