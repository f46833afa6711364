"""Train: ``python -m qsnn.train [key=value ...]``. See ``--help``."""

from qsnn.command import run_and_leave


def main() -> None:
    """Entry point of ``qsnn-train``."""
    run_and_leave(_train, shareable=True)


def _train(arguments: list[str]) -> None:
    from qsnn.config.training import train

    train(arguments)


if __name__ == "__main__":
    main()
