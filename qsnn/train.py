"""Train: ``python -m qsnn.train [key=value ...]``. See ``--help``."""

from qsnn.command import run_command


def main() -> None:
    """Entry point of ``qsnn-train``."""
    run_command(_train)


def _train(arguments: list[str]) -> None:
    from qsnn.config.training import train

    train(arguments)


if __name__ == "__main__":
    main()
