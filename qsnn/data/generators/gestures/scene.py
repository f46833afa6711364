"""Pictures of a person who moves: head, trunk and arms as thick lines with soft edges before a smooth background."""
# mypy: allow-untyped-defs

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.data.generators.gestures.motion import SENSOR, Array, User
from qsnn.kernels.numba.runtime.compile import compiled

_EDGE = 1.6  # pixels over which an edge fades
# Positions and shades are multiples of these, so that the last bits of a machine's sines do not reach the events.
_POSITION_STEP, _SHADE_STEP = 2.0**-10, 2.0**-12
_WAVES = 6  # of the background


class Look(NamedTuple):
    """How a person is dressed: logarithms of the intensity against the background's mean, and a factor of thickness."""

    skin: float
    shirt: float
    sleeve: float
    long_sleeves: bool
    thickness: float


def draw_look(rng: np.random.Generator) -> Look:
    """Draw a person's clothes: skin and sleeves differ from the shirt and from the background by 0.3 at least."""
    shirt = rng.uniform(-0.9, -0.1)
    is_bright = bool(rng.integers(2))
    return Look(
        skin=rng.uniform(0.6, 0.9),
        shirt=shirt,
        sleeve=rng.uniform(0.3, 0.6) if is_bright else shirt - rng.uniform(0.3, 0.6),
        long_sleeves=bool(rng.integers(2)),
        thickness=rng.uniform(0.85, 1.2),
    )


def draw_background(rng: np.random.Generator, strength: float) -> NDArray[np.float32]:
    """A smooth background, logarithms of its intensity of standard deviation ``strength`` around 0, [128, 128]."""
    y, x = np.mgrid[0:1:128j, 0:1:128j]
    waves = np.zeros(SENSOR)
    for _ in range(_WAVES):
        frequency_x, frequency_y = rng.uniform(-2.5, 2.5, 2)
        waves += np.sin(2 * np.pi * (frequency_x * x + frequency_y * y + rng.uniform()))
    waves *= strength / np.sqrt(_WAVES / 2)
    return np.asarray(np.round(waves / _SHADE_STEP) * _SHADE_STEP, dtype=np.float32)


def body_segments(joints: Array, sway: Array, user: User, look: Look, contrast: float) -> NDArray[np.float32]:
    """The thick lines of every frame in the order of painting: [F, S, 6] = x, y of both ends, radius, shade.

    ``joints``: of the arms [2, F, 3 joints, 3], see `arm_joints`; ``sway``: pixels [F]. The arm whose hand is nearer to the
    camera is painted last.
    """
    num_frames = len(sway)
    nearer = joints[0, :, 2, 2] > joints[1, :, 2, 2]
    order = np.stack([nearer, ~nearer]).astype(int)  # [2, F]: which arm first, which second
    ordered = np.take_along_axis(joints, order[:, :, None, None], axis=0)
    lines = [_fixed((0, 8, 0, 38), 15, look.shirt, num_frames), _fixed((0, -24, 0, -20), 8.5, look.skin, num_frames)]
    forearm = look.sleeve if look.long_sleeves else look.skin
    for shoulder, elbow, wrist in ordered.transpose(0, 2, 1, 3):
        fingers = wrist + 5 * (wrist - elbow) / np.linalg.norm(wrist - elbow, axis=1, keepdims=True)
        for begin, end, radius, shade in (
            (shoulder, elbow, 4.2, look.sleeve), (elbow, wrist, 3.4, forearm), (wrist, fingers, 3.6, look.skin),
        ):  # fmt: skip
            style = np.broadcast_to((radius * look.thickness, shade), (num_frames, 2))
            lines.append(np.concatenate([begin[:, :2], end[:, :2], style], axis=1))
    segments = np.stack(lines, axis=1)
    segments[:, :, :5] *= user.scale
    segments[:, :, [0, 2]] += user.x + sway[:, None, None]
    segments[:, :, [1, 3]] += user.y
    segments[:, :, 5] *= contrast
    segments[:, :, :5] = np.round(segments[:, :, :5] / _POSITION_STEP) * _POSITION_STEP
    segments[:, :, 5] = np.round(segments[:, :, 5] / _SHADE_STEP) * _SHADE_STEP
    return segments.astype(np.float32)


def _fixed(ends: tuple[float, ...], radius: float, shade: float, num_frames: int) -> Array:
    """A line that moves with the body alone."""
    return np.broadcast_to((*ends, radius, shade), (num_frames, 6))


@compiled("void(float32[:,:,::1], float32[:,:,::1], float32)")
def _paint(frames, segments, edge):
    """Blend the lines into the frames: full within radius - edge/2 of the line, nothing beyond radius + edge/2."""
    num_frames, height, width = frames.shape
    for f in range(num_frames):
        for s in range(segments.shape[1]):
            x0, y0, x1, y1, radius, shade = segments[f, s]
            outer, inner = radius + edge / 2, max(radius - edge / 2, np.float32(0))
            dx, dy = x1 - x0, y1 - y0
            squared_length = max(dx * dx + dy * dy, np.float32(1e-6))
            for y in range(max(math.ceil(min(y0, y1) - outer), 0), min(math.floor(max(y0, y1) + outer) + 1, height)):
                for x in range(max(math.ceil(min(x0, x1) - outer), 0), min(math.floor(max(x0, x1) + outer) + 1, width)):
                    px, py = np.float32(x) - x0, np.float32(y) - y0
                    along = min(max((px * dx + py * dy) / squared_length, np.float32(0)), np.float32(1))
                    px, py = px - along * dx, py - along * dy
                    squared = px * px + py * py
                    if squared < inner * inner:
                        frames[f, y, x] = shade
                    elif squared < outer * outer:
                        share = (outer - math.sqrt(squared)) / edge
                        frames[f, y, x] += share * (shade - frames[f, y, x])


def paint_frames(background: NDArray[np.float32], segments: NDArray[np.float32]) -> NDArray[np.float32]:
    """Frames [F, height, width] of the lines [F, S, 6] before ``background``, logarithms of intensity.

    A pixel at distance d from a line of radius r takes the share clip((r - d) / edge + 1/2, 0, 1) of the line's shade.
    """
    frames = np.repeat(background[None], len(segments), axis=0)
    _paint(frames, np.ascontiguousarray(segments), np.float32(_EDGE))
    return frames
