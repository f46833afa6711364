"""Everything that a run of local learning must remember to go on as if it had never stopped."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qsnn.dynamics import Slots, UpdateRule
from qsnn.models.local_net import LocalNet
from qsnn.quantization import RandomStream, random_stream
from qsnn.training.checkpoint_layout import Count, Maybe, Numbers, stream_layout
from qsnn.training.code_changes import none_changed, weight_codes


class BestEpoch(NamedTuple):
    """The best validation accuracy of the last layer so far, and the weights that reached it, after ``epoch`` epochs."""

    epoch: int
    accuracy: float
    weights: dict[str, Tensor]


@dataclass
class LocalTrainingState:
    """A net in training. ``epoch`` counts finished epochs, ``batch`` finished batches of the epoch under way, ``step``
    updates of each weight; ``slots`` and ``streams`` go by tensor (``layer1.weight``; ``layer1/dropout``). ``sums``: what
    the epoch under way has measured, added up by key. ``largest_codes``: the largest integer of a rounded gradient of weights
    or bias in the run so far; ``initial_codes`` and ``changed``: `qsnn.training.code_changes`; all three by layer."""

    model: LocalNet
    rule: UpdateRule
    slots: dict[str, Slots]
    streams: dict[str, RandomStream]
    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: BestEpoch | None = None
    seconds: float = 0.0
    seconds_start: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    largest_codes: dict[str, int] = field(default_factory=dict)
    initial_codes: dict[str, Tensor] = field(default_factory=dict)
    changed: dict[str, Tensor] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, so that a checkpoint loads with ``weights_only=True``."""
        return {
            "model": self.model.state_dict(),
            "slots": {name: list(slots) for name, slots in self.slots.items()},
            "streams": {name: list(stream) for name, stream in self.streams.items()},
            "position": [self.epoch, self.batch, self.step],
            "best": None if self.best is None else {**self.best._asdict()},
            "seconds": self.seconds,
            "seconds_start": self.seconds_start,
            "sums": dict(self.sums),
            "largest_codes": dict(self.largest_codes),
            "initial_codes": self.initial_codes,
            "changed": self.changed,
            "epoch": self.epoch,
        }

    def layout(self, batches_per_epoch: int, sums: frozenset[str]) -> dict[str, Any]:
        """What a `state_dict` of this net looks like (`qsnn.training.checkpoint_layout`). ``sums``: names that an epoch
        under way adds up."""
        saved = self.state_dict()
        best = BestEpoch(Count(), 0.0, saved["model"])._asdict()  # type: ignore[arg-type]
        return {
            **saved,
            "streams": stream_layout(self.streams),
            "position": [Count(), Count(batches_per_epoch - 1), Count()],
            "best": Maybe(best),
            "seconds": 0.0,
            "seconds_start": 0.0,
            "sums": Numbers(sums),
            "epoch": Count(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over what `state_dict` gave and `layout` fits."""
        self.model.load_state_dict(saved["model"])
        device = next(self.model.parameters()).device
        self.slots = {name: tuple(slot.to(device) for slot in slots) for name, slots in saved["slots"].items()}
        self.streams = {name: RandomStream(*stream) for name, stream in saved["streams"].items()}
        self.epoch, self.batch, self.step = saved["position"]
        self.best = None if saved["best"] is None else BestEpoch(**saved["best"])
        self.seconds, self.seconds_start = saved["seconds"], saved["seconds_start"]
        self.sums, self.largest_codes = saved["sums"], saved["largest_codes"]
        self.initial_codes, self.changed = (
            {name: tensor.to(device) for name, tensor in saved[key].items()} for key in ("initial_codes", "changed")
        )


def new_local_state(model: LocalNet, rule: UpdateRule, seed: int) -> LocalTrainingState:
    """The state before the first batch; every weight's gradient and every layer's dropout has a stream of its own."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    streams = {name: random_stream(seed, f"{name}/gradient") for name in parameters}
    streams |= {f"{name}/dropout": random_stream(seed, f"{name}/dropout") for name in model.named_layers()}
    rows = {name: value.reshape(len(value), -1) for name, value in parameters.items()}
    slots = {name: tuple(torch.zeros_like(value) for _ in range(rule.num_slots)) for name, value in rows.items()}
    codes = weight_codes(model.stored_weights())
    return LocalTrainingState(
        model, rule, slots, streams,
        largest_codes=dict.fromkeys(model.named_layers(), 0), initial_codes=codes, changed=none_changed(codes),
    )  # fmt: skip
