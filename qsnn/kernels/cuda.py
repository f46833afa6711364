"""A GPU set up to compute what the equations say: float32 that is float32, and the same bits in every run."""

import os

import torch


def set_up_cuda() -> None:
    """Deterministic algorithms only, and no TF32. To be called before the first computation on a GPU.

    torch convolves in TF32 by default, which keeps 10 bits of each factor: traces have up to 16. An operation that has no
    deterministic algorithm on a GPU raises RuntimeError from here on.
    """
    os.environ.setdefault(
        "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
    )  # cuBLAS is deterministic with a workspace of fixed size only
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
