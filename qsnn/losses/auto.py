"""The loss that follows from the rest of the config."""

from dataclasses import dataclass
from typing import Any, ClassVar

from qsnn.options import Option, option, options_of


@option("loss", "auto")
@dataclass
class Auto(Option):
    """The loss that the trainer and the data set call for: van_rossum, cross_entropy or local_readout."""

    stands_for_another: ClassVar[bool] = True
    preferred: ClassVar[tuple[str, ...]] = ("van_rossum", "cross_entropy", "local_readout")

    def choose(self, trainer: Any, dataset: Any) -> Option:
        """The first of the preferred losses that gives what the trainer needs and needs nothing that the data set lacks; if
        none does, the first that the trainer could use. With its defaults."""
        known = options_of("loss")
        usable = [known[name] for name in self.preferred if known[name].gives & trainer.needs]
        fitting = [loss for loss in usable if loss.needs <= dataset.gives]
        return (fitting or usable or [known[self.preferred[0]]])[0]()
