"""`Workers` by torch.distributed: processes that torchrun started, which talk by gloo."""

from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ReduceOp

from qsnn.errors import WorkerError
from qsnn.kernels.workers import Workers, part_of
from qsnn.quantization.reductions import Reductions

PATIENCE = timedelta(minutes=10)
"""So long one process waits for what another has to tell."""


class ProcessGroup(Workers):
    """A process group of torch.distributed, which exists; None: the default one."""

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.rank, self.size, self._group = dist.get_rank(group), dist.get_world_size(group), group
        self._over = Reductions(self._largest, self._total)

    @property
    def over(self) -> Reductions:
        """Over all processes."""
        return self._over

    def _largest(self, maxima: Tensor) -> Tensor:
        # As integers, for sizes order like the bits of their floats, and those of NaN are the highest.
        bits = maxima.detach().to("cpu", torch.float64).contiguous().clone().view(torch.int64)
        self._reduce(bits, ReduceOp.MAX)
        return bits.view(torch.float64).to(maxima)

    def _total(self, sums: Tensor) -> Tensor:
        whole = sums.detach().cpu().contiguous().clone()
        self._reduce(whole, ReduceOp.SUM)
        return whole.to(sums.device)

    def _reduce(self, tensor: Tensor, how: ReduceOp.RedOpType) -> None:
        try:
            dist.all_reduce(tensor, how, self._group)
        except RuntimeError as error:
            raise self._lost() from error

    def joined(self, part: Tensor, whole: int, dim: int = 0) -> Tensor:
        """As `Workers.joined`. Parts are filled up to one length, for gloo wants all alike."""
        own, longest = part.detach().cpu().movedim(dim, 0), -(-whole // self.size)
        padded = torch.zeros(longest, *own.shape[1:], dtype=part.dtype)
        padded[: len(own)] = own
        parts = self._gathered(padded)
        lengths = [part_of(whole, rank, self.size) for rank in range(self.size)]
        cut = [one[: length.stop - length.start] for one, length in zip(parts, lengths, strict=True)]
        return torch.cat(cut).movedim(0, dim).contiguous().to(part.device)

    def _gathered(self, tensor: Tensor) -> list[Tensor]:
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        try:
            dist.all_gather(parts, tensor, self._group)
        except RuntimeError as error:
            raise self._lost() from error
        return parts

    def agreed(self, number: int) -> int:
        """As `Workers.agreed`."""
        found = torch.tensor([int(number)])
        self._reduce(found, ReduceOp.MAX)
        return int(found)

    def tell_once(self) -> bool:
        """As `Workers.tell_once`."""
        try:
            return bool(dist.distributed_c10d._get_default_store().add("qsnn/told", 1) == 1)
        except RuntimeError:  # whoever kept the store has gone
            return self.rank <= 1

    def told(self, content: bytes) -> bytes:
        """As `Workers.told`."""
        return self.exchanged(content if self.leads else b"")[0]

    def exchanged(self, content: bytes) -> list[bytes]:
        """As `Workers.exchanged`."""
        sizes = [int(size) for size in self._gathered(torch.tensor([len(content)]))]
        own = torch.zeros(max(sizes), dtype=torch.uint8)
        own[: len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else own[:0]
        parts = self._gathered(own) if max(sizes) else [own] * self.size
        return [bytes(part[:size].numpy()) for part, size in zip(parts, sizes, strict=True)]

    def _lost(self) -> WorkerError:
        """What is raised when a process does not answer; one of those that notice tells it."""
        return WorkerError(
            "a process of this run has ended or does not answer, and no run goes on without all of its processes: the last "
            "checkpoint is kept; go on from it, with as many processes as you like: resume=<its folder>",
            first=self.tell_once(),
        )
