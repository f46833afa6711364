"""What a run tells: metrics, TensorBoard, pictures, health of the quantization, summary."""
