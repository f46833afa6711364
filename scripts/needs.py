"""What a script needs beside qsnn: told in a line, before any work."""

import importlib.util
import shutil
import sys


def programs(*names: str) -> None:
    """Exit with 2, naming them, unless all are found."""
    _tell("program", [name for name in names if shutil.which(name) is None])


def packages(*names: str) -> None:
    """Exit with 2, naming them, unless all are installed."""
    _tell("package", [name for name in names if importlib.util.find_spec(name) is None])


def _tell(kind: str, missing: list[str]) -> None:
    if missing:
        several = "s" * (len(missing) > 1)
        sys.stderr.write(f"error: this needs the {kind}{several} {', '.join(missing)}: install first\n")
        sys.exit(2)
