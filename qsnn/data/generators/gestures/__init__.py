"""Moving arms in front of a simulated event camera: eleven gestures to learn without a download."""
