"""One recording of a synthetic gesture: from a moving person before a background to the events of a sensor."""

import numpy as np

from qsnn.data.generators.gestures.dvs_pixel import add_noise, changes_to_events
from qsnn.data.generators.gestures.lights import LIGHTS
from qsnn.data.generators.gestures.motion import SENSOR, arm_joints, body_sway, draw_take, draw_user, hand_paths
from qsnn.data.generators.gestures.scene import body_segments, draw_background, draw_look, paint_frames
from qsnn.data.recording import Events
from qsnn.data.streams import random_stream

REFRACTORY = 1000  # microseconds
_FRAME = 4000  # microseconds between two frames


def generate_recording(seed: int, user: int, light: str, label: int, repetition: int, duration: int) -> Events:
    """One gesture of ``duration`` microseconds: a pure function of its arguments.

    The person depends on seed and user alone, the background on seed, user and light.
    """
    place = f"synthetic_gesture/{user}"
    person = random_stream(seed, place)
    mover, look = draw_user(person), draw_look(person)
    background = draw_background(random_stream(seed, f"{place}/{light}"), LIGHTS[light].background)
    rng = random_stream(seed, f"{place}/{light}/{label}/{repetition}")
    take = draw_take(rng)
    times = np.append(np.arange(0, duration - 1, _FRAME), duration - 1)
    t = times * 1e-6
    joints = arm_joints(hand_paths(label, mover, take, rng, t), mover.outward)
    segments = body_segments(joints, body_sway(mover, take, t), mover, look, LIGHTS[light].contrast)
    events = changes_to_events(paint_frames(background, segments), times, LIGHTS[light].threshold, REFRACTORY)
    return add_noise(events, SENSOR, duration, LIGHTS[light].noise_rate, REFRACTORY, rng)
