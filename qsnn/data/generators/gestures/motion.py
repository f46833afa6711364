"""How arms move in eleven gestures: a phase that turns, paths of two hands over it, and the elbows that follow.

Lengths are pixels of a 128 x 128 picture of a person of average size who faces the camera; x to the right, y downward, z
toward the camera, zero between the shoulders. The person's right arm is on the picture's left, and clockwise is as the
camera sees it. F counts frames.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SENSOR = (128, 128)  # height, width
# The order of the IBM DVS128 Gesture set, whose files count from 1.
CLASSES = (
    "hand clapping", "right hand wave", "left hand wave", "right arm clockwise", "right arm counter-clockwise",
    "left arm clockwise", "left arm counter-clockwise", "arm roll", "air drums", "air guitar", "other gestures",
)  # fmt: skip
CLAPPING, RIGHT_WAVE, LEFT_WAVE, RIGHT_CLOCKWISE, RIGHT_COUNTER, LEFT_CLOCKWISE, LEFT_COUNTER = range(7)
ROLL, DRUMS, GUITAR, OTHER = range(7, 11)
# Turns of the phase a second, before the user's and the recording's own tempo. `other` draws its own.
FREQUENCIES = (2.2, 1.8, 1.8, 1.2, 1.2, 1.2, 1.2, 1.6, 2.4, 2.2, 1.0)

RIGHT, LEFT = 0, 1  # index of an arm
SIDES = (-1.0, 1.0)  # the sign of x on its side
SHOULDER, UPPER_ARM, FOREARM = 17.0, 24.0, 21.0  # half the distance between the shoulders; lengths
_REST = (20.0, 42.0, 4.0)  # of a hanging hand; x outward
_WAVERS = 3  # sines that make the tempo uneven


class User(NamedTuple):
    """How one person moves.

    ``scale`` of the body; ``x`` and ``y`` of the middle between the shoulders in the picture, pixels; ``tempo`` and
    ``amplitude``: factors; ``outward``: how far the elbows point to the sides, against 1 downward; ``roll``: 1 or -1, the
    direction of the arm roll; ``sway``: pixels of the body.
    """

    scale: float
    x: float
    y: float
    tempo: float
    amplitude: float
    outward: float
    roll: float
    sway: float


class Take(NamedTuple):
    """What is particular to one recording.

    ``start``: phase at time 0, turns; ``tempo`` and ``amplitude``: factors; ``tilt`` of the paths, radians; ``offset`` of
    the paths' middle, pixels [2 arms, 3]; ``wavers``: amplitude (turns), frequency (Hz) and phase of the sines in
    the tempo, [_WAVERS, 3]; ``sway``: frequency (Hz) and phase of the body's sway.
    """

    start: float
    tempo: float
    amplitude: float
    tilt: float
    offset: Array
    wavers: Array
    sway: tuple[float, float]


def draw_user(rng: np.random.Generator) -> User:
    """Draw a person."""
    return User(
        scale=rng.uniform(0.88, 1.12),
        x=rng.uniform(58, 70),
        y=rng.uniform(46, 58),
        tempo=rng.uniform(0.75, 1.3),
        amplitude=rng.uniform(0.8, 1.15),
        outward=rng.uniform(0.2, 0.8),
        roll=rng.choice((-1.0, 1.0)),
        sway=rng.uniform(0.2, 1.0),
    )


def draw_take(rng: np.random.Generator) -> Take:
    """Draw what is particular to a recording."""
    return Take(
        start=rng.uniform(0, 1),
        tempo=rng.uniform(0.9, 1.12),
        amplitude=rng.uniform(0.88, 1.12),
        tilt=rng.uniform(-0.2, 0.2),
        offset=rng.uniform(-3, 3, (2, 3)),
        wavers=rng.uniform((0, 0.3, 0), (0.04, 0.9, 2 * np.pi), (_WAVERS, 3)),
        sway=(rng.uniform(0.2, 0.5), rng.uniform(0, 2 * np.pi)),
    )


def turning_phase(frequency: float, user: User, take: Take, t: Array) -> Array:
    """The phase of a gesture at times ``t`` (seconds), radians, [F]: a steady turn that wavers."""
    amplitudes, frequencies, phases = take.wavers.T
    wavers = amplitudes * np.sin(2 * np.pi * frequencies * t[:, None] + phases)
    return 2 * np.pi * (take.start + frequency * user.tempo * take.tempo * t + wavers.sum(axis=1))


def _circle(arm: int, phase: Array) -> Array:
    side = SIDES[arm]
    return np.stack([side * 31 + 16 * np.cos(phase), 16 * np.sin(phase), 12 + 0 * phase], axis=1)


def _wave(arm: int, phase: Array) -> Array:
    swing = np.cos(phase)
    return np.stack([SIDES[arm] * 30 + 12 * swing, -19 + 4 * swing**2, 12 + 0 * phase], axis=1)


def _clap(arm: int, phase: Array) -> Array:
    apart = 0.5 + 0.5 * np.cos(phase)
    return np.stack([SIDES[arm] * (2 + 15 * apart), 20 - 2 * apart, 24 - 3 * apart], axis=1)


def _roll(arm: int, phase: Array) -> Array:
    turn = phase + (np.pi if arm == LEFT else 0)
    return np.stack([-SIDES[arm] * 7 + 0 * phase, 20 + 10 * np.sin(turn), 22 + 8 * np.cos(turn)], axis=1)


def _drum(arm: int, phase: Array) -> Array:
    turn = phase + (np.pi if arm == LEFT else 0)
    return np.stack([SIDES[arm] * 15 + 0 * phase, 22 + 9 * np.sin(turn) + 3 * np.sin(2 * turn), 20 + 0 * phase], axis=1)


def _guitar(arm: int, phase: Array) -> Array:
    if arm == LEFT:  # slides along the neck, slowly
        slide = 3 * np.sin(phase / 4)
        return np.stack([36 + slide, 4 - slide / 2, 12 + 0 * phase], axis=1)
    return np.stack([-3 + 5 * np.sin(phase), 27 + 9 * np.sin(phase), 18 + 0 * phase], axis=1)


def _rest(arm: int, phase: Array) -> Array:
    x, y, z = _REST
    return np.broadcast_to((SIDES[arm] * x, y, z), (len(phase), 3)).copy()


def _other(arm: int, rng: np.random.Generator, t: Array) -> Array:
    """A path of its own: in each direction two sines of any frequency around any place before the body."""
    middle = rng.uniform((0, -20, 8), (32, 30, 22)) * (SIDES[arm], 1, 1)
    amplitudes = rng.uniform((2, 2, 0), (11, 11, 4), (2, 3))
    frequencies, phases = rng.uniform(0.5, 2.8, (2, 3)), rng.uniform(0, 2 * np.pi, (2, 3))
    sines = amplitudes * np.sin(2 * np.pi * frequencies * t[:, None, None] + phases)
    return middle + sines.sum(axis=1)


_ONE_ARM = {
    RIGHT_WAVE: (RIGHT, _wave), LEFT_WAVE: (LEFT, _wave),
    RIGHT_CLOCKWISE: (RIGHT, _circle), RIGHT_COUNTER: (RIGHT, _circle),
    LEFT_CLOCKWISE: (LEFT, _circle), LEFT_COUNTER: (LEFT, _circle),
}  # fmt: skip
_BOTH_ARMS = {CLAPPING: _clap, ROLL: _roll, DRUMS: _drum, GUITAR: _guitar}


def _vary(path: Array, arm: int, user: User, take: Take) -> Array:
    """A path turned, stretched and moved to what the user and the recording make of it."""
    middle = path.mean(axis=0)
    cos, sin = np.cos(take.tilt), np.sin(take.tilt)
    turned = (path - middle) @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    return middle + turned * user.amplitude * take.amplitude + take.offset[arm]


def hand_paths(label: int, user: User, take: Take, rng: np.random.Generator, t: Array) -> Array:
    """Where both hands (wrists) are at times ``t`` (seconds), before the user's scale: [2 arms, F, 3].

    A clockwise class and its counter-clockwise one run along the same path: only the phase's sign differs.
    ``rng`` is drawn from by `other` alone, which knows no repetition: a free path for one arm or both.
    """
    phase = turning_phase(FREQUENCIES[label], user, take, t)
    if label in (RIGHT_COUNTER, LEFT_COUNTER):
        phase = -phase
    if label == ROLL:
        phase = user.roll * phase
    if label == OTHER:
        moving = ((RIGHT,), (LEFT,), (RIGHT, LEFT), (RIGHT, LEFT))[rng.integers(4)]
        return np.stack([_other(arm, rng, t) if arm in moving else _rest(arm, phase) for arm in (RIGHT, LEFT)])
    if label in _BOTH_ARMS:
        return np.stack([_vary(_BOTH_ARMS[label](arm, phase), arm, user, take) for arm in (RIGHT, LEFT)])
    arm, path = _ONE_ARM[label]
    paths = [_rest(RIGHT, phase), _rest(LEFT, phase)]
    paths[arm] = _vary(path(arm, phase), arm, user, take)
    return np.stack(paths)


def arm_joints(hands: Array, outward: float) -> Array:
    """Shoulder, elbow and wrist of both arms that put the wrists at ``hands`` [2, F, 3]: [2, F, 3 joints, 3].

    The elbow lies on the circle of points that are UPPER_ARM from the shoulder and FOREARM from the wrist, where it hangs
    lowest and ``outward``; a wrist out of reach is drawn in along its line from the shoulder.
    """
    side = np.reshape(SIDES, (2, 1, 1))
    shoulder = np.broadcast_to(side * (SHOULDER, 0, 0), hands.shape)
    reach = hands - shoulder
    distance = np.linalg.norm(reach, axis=2, keepdims=True)
    along = reach / distance
    distance = np.clip(distance, abs(UPPER_ARM - FOREARM) + 1, UPPER_ARM + FOREARM - 0.5)
    foot = (UPPER_ARM**2 - FOREARM**2 + distance**2) / (2 * distance)
    hint = np.concatenate([side * outward, np.ones_like(side), -0.3 * np.ones_like(side)], axis=2)
    across = hint - (hint * along).sum(axis=2, keepdims=True) * along
    across /= np.linalg.norm(across, axis=2, keepdims=True)
    elbow = shoulder + foot * along + np.sqrt(UPPER_ARM**2 - foot**2) * across
    return np.stack([shoulder, elbow, shoulder + distance * along], axis=2)


def body_sway(user: User, take: Take, t: Array) -> Array:
    """How far the body has swayed to the side, pixels [F]."""
    frequency, phase = take.sway
    return user.sway * np.sin(2 * np.pi * frequency * t + phase)
