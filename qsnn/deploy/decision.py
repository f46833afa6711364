"""What a net says: votes that grow from step to step, of integers."""

import numpy as np

from qsnn.deploy.arithmetic import Whole
from qsnn.deploy.local import LocalState
from qsnn.deploy.model import COUNT, MAX, MEAN, RASTER, VOTES, Model, answers


def no_votes(model: Model, samples: int) -> Whole:
    """(B, K) before the first step; (B, 0) of a raster."""
    classes = 0 if model.decision.rule == RASTER else answers(model.layers[-1])
    return np.zeros((samples, classes), np.int64)


def votes_after(model: Model, votes: Whole, number: int, output: Whole, state: object) -> Whole:
    """The votes after step ``number``, of the last layer's ``output`` (B, K) and ``state``.

    Counts of output spikes; of membranes their maximum so far or, for the mean, their sum; of a local readout the number of
    steps from burn-in on in which its code was the largest, of equals the first.
    """
    rule = model.decision.rule
    if rule in (COUNT, MEAN):
        return votes + output
    if rule == MAX:
        return np.maximum(votes, output) if number else output.copy()
    if rule == VOTES and number >= model.decision.burn_in:
        assert isinstance(state, LocalState)
        found = votes.copy()
        found[np.arange(len(votes)), state.readout.argmax(1)] += 1
        return found
    return votes


def prediction(votes: Whole) -> Whole:
    """The class with the most votes, of equals the first, (B, K) to (B)."""
    return votes.argmax(1).astype(np.int64)


def tied(votes: Whole) -> Whole:
    """Whether another class has as many, truth values (B)."""
    found: Whole = (votes == votes.max(1, keepdims=True)).sum(1) > 1
    return found
