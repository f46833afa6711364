"""The processes that share a run: who they are, which samples of a batch are whose, and what they tell each other.

Every process has all weights, slots and random streams, and moves them alike; of a batch it has its own samples. Rank 0 leads:
it alone writes and tells. `Workers` is a run of one process, for which everything is there already.
"""

from torch import Tensor

from qsnn.quantization.reductions import ALONE, Reductions


def part_of(whole: int, rank: int, size: int) -> slice:
    """Which of ``whole`` samples are those of process ``rank`` of ``size``: as many as any other's or one more or less; of
    fewer samples than processes some have none."""
    return slice(whole * rank // size, whole * (rank + 1) // size)


class Workers:
    """Process ``rank`` of ``size``; here the only one."""

    rank, size = 0, 1

    @property
    def over(self) -> Reductions:
        """Maxima and sums over the parts of all."""
        return ALONE

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    def own(self, whole: int) -> slice:
        """Which samples of a batch of ``whole`` are its own."""
        return part_of(whole, self.rank, self.size)

    def joined(self, part: Tensor, whole: int, dim: int = 0) -> Tensor:
        """The tensor of a batch of ``whole`` samples, from that of each one's own samples along ``dim``."""
        return part

    def agreed(self, number: int) -> int:
        """The largest of the numbers, of at least 0, that each has."""
        return number

    def told(self, content: bytes) -> bytes:
        """What rank 0 has."""
        return content

    def tell_once(self) -> bool:
        """Whether no other process has yet told why the run ends; from now on one has."""
        return True

    def exchanged(self, content: bytes) -> list[bytes]:
        """What each has, by rank."""
        return [content]


ONE = Workers()
"""A run of one process."""
