"""The optimizers as options: an update rule, and the two learning rates of quantized training. Rules: `weight_updates`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from qsnn.dynamics.schedules import SCHEDULES
from qsnn.dynamics.weight_updates import SGD, Adam, Adamax, UpdateRule
from qsnn.options import Option, impossible, key, option

ETA = (
    "learning rate inside the gradient quantizer: the largest gradient becomes an integer of about eta, so that eta, not "
    "gradient_bits, sets the integers' width"
)
LR_SCHEDULE = "how lr falls until the last epoch: constant, cosine, linear or halving"
ETA_SCHEDULE = "how eta falls until the last epoch: constant, cosine, linear or halving"


@dataclass
class Optimizer(Option):
    """What all optimizers share. ``cancels_size``: a factor on all gradients changes nothing."""

    cancels_size: ClassVar[bool] = False

    lr: float = key(1.0, "learning rate on quantized gradients", "", "1, fixed (Adamax)", above=0)
    lr_full_precision: float = key(0.001, "learning rate when gradient_bits is null", "", "none", above=0)
    eta: float = key(0.1, ETA, "", "0.1, fixed", above=0)
    lr_schedule: str = key("constant", LR_SCHEDULE, choices=tuple(SCHEDULES))
    eta_schedule: str = key("constant", ETA_SCHEDULE, choices=tuple(SCHEDULES))
    num_halvings: int = key(
        6, "how often the halving schedule halves", "", "none (lr_div in the gesture program)", at_least=1, at_most=30
    )

    def build(self, gradient_bits: int | list[int | None] | None) -> UpdateRule:
        """The rule, with the learning rate that belongs to gradients of this width, or of these widths, one a layer."""
        widths = gradient_bits if isinstance(gradient_bits, list) else [gradient_bits]
        return self.rule(self.lr_full_precision if None in widths else self.lr)

    def schedules(self) -> tuple[str, str, int]:
        """Those of lr and eta, and how often these halve."""
        return self.lr_schedule, self.eta_schedule, self.num_halvings

    def rule(self, lr: float) -> UpdateRule:
        """The rule at this learning rate."""
        raise NotImplementedError


@dataclass
class Adaptive(Optimizer):
    """What Adam and Adamax share."""

    cancels_size: ClassVar[bool] = True

    betas: list[float] = key(
        [0.9, 0.999], "decay of the mean and of the size of the gradient", "", "(0.9, 0.999), fixed",
        at_least=0, at_most=0.999999999,
    )  # fmt: skip
    eps: float = key(1e-8, "added to the divisor", "", "1e-8, fixed", at_least=0)

    def problems(self) -> Iterator[str]:
        """Another number of betas than two."""
        if len(self.betas) != 2:
            yield impossible("optimizer.betas", self.betas, "give two numbers, such as [0.9,0.999]")


@option("optimizer", "adamax")
@dataclass
class AdamaxOption(Adaptive):
    """Adamax, the original program's: lr 1 on gradients quantized with eta 0.1."""

    def rule(self, lr: float) -> Adamax:
        """`Adamax`."""
        return Adamax(lr, self.betas[0], self.betas[1], self.eps)


@option("optimizer", "adam")
@dataclass
class AdamOption(Adaptive):
    """Adam with a cosine schedule and finely rounded gradients."""

    lr: float = key(0.02, "learning rate on quantized gradients", above=0)
    eta: float = key(64.0, ETA, above=0)
    lr_schedule: str = key("cosine", LR_SCHEDULE, choices=tuple(SCHEDULES))

    def rule(self, lr: float) -> Adam:
        """`Adam`."""
        return Adam(lr, self.betas[0], self.betas[1], self.eps)


@option("optimizer", "sgd")
@dataclass
class SGDOption(Optimizer):
    """Plain SGD: with lr 1 every stored weight stays on the integer grid."""

    lr_full_precision: float = key(0.0001, "learning rate when gradient_bits is null", above=0)
    eta: float = key(16.0, ETA, above=0)
    eta_schedule: str = key("cosine", ETA_SCHEDULE, choices=tuple(SCHEDULES))
    momentum: float = key(
        0.0,
        "momentum; above 0 the stored weights leave the grid, unless integer arithmetic keeps them there (2^-k or 1 - 2^-k)",
        at_least=0,
        at_most=1,
    )

    def on_grid(self, gradient_bits: int) -> SGD:
        """The rule with a momentum buffer on the grid of gradients of this width."""
        return SGD(self.lr, self.momentum, 2.0 ** (1 - gradient_bits))

    def rule(self, lr: float) -> SGD:
        """`SGD`."""
        return SGD(lr, self.momentum)
