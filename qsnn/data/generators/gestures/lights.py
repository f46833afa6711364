"""The lights of the synthetic gestures: what they make of a scene, and how the sensor is set for them."""

from typing import NamedTuple


class Light(NamedTuple):
    """``contrast``: factor on the scene's logarithms; ``background``: its unevenness; ``threshold`` and ``noise_rate``
    (Hz) of the pixels, whose biases were set for this light.
    """

    contrast: float
    background: float
    threshold: float
    noise_rate: float


LIGHTS = {
    "fluorescent": Light(contrast=1.0, background=0.20, threshold=0.20, noise_rate=0.30),
    "fluorescent_led": Light(contrast=1.1, background=0.15, threshold=0.20, noise_rate=0.20),
    "lab": Light(contrast=0.85, background=0.25, threshold=0.18, noise_rate=0.40),
    "led": Light(contrast=1.2, background=0.12, threshold=0.22, noise_rate=0.10),
    "natural": Light(contrast=0.7, background=0.30, threshold=0.16, noise_rate=0.60),
}
