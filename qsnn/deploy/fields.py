"""Reading a file's JSON that anybody may have written: every value is asked for by type and bounds, and none is left over."""

import re
from collections.abc import Sequence
from typing import Any

from qsnn.errors import DataError

MAX_NUMBER = 2**62
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class Fields:
    """The object at ``where`` of a file. Raises DataError, naming the place, for whatever is not as asked for."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise DataError(f"{where} is {shown(value)}, it must be an object")
        self.where, self._left = where, dict(value)

    def take(self, name: str) -> Any:
        """A value as it is."""
        if name not in self._left:
            raise DataError(f"{self.where} has no {name}")
        return self._left.pop(name)

    def integer(self, name: str, low: int, high: int = MAX_NUMBER) -> int:
        """A whole number from ``low`` to ``high``."""
        return self._integer(self.take(name), name, low, high)

    def _integer(self, value: Any, name: str, low: int, high: int) -> int:
        if type(value) is not int or not low <= value <= high:
            raise DataError(f"{self.where}.{name} is {shown(value)}, allowed are whole numbers from {low} to {high}")
        return value

    def integers(self, name: str, count: int | None, low: int, high: int = MAX_NUMBER) -> tuple[int, ...]:
        """A list of ``count`` of them, None: of any number."""
        found = self.take(name)
        if not isinstance(found, list) or count not in (None, len(found)):
            raise DataError(f"{self.where}.{name} must be a list of {'whole' if count is None else count} numbers")
        return tuple(self._integer(value, name, low, high) for value in found)

    def text(self, name: str, choices: Sequence[str] = ()) -> str:
        """A word, one of ``choices`` if there are any."""
        found = self.take(name)
        if not isinstance(found, str) or (choices and found not in choices):
            allowed = f"one of {', '.join(choices)}" if choices else "text"
            raise DataError(f"{self.where}.{name} is {shown(found)}, allowed is {allowed}")
        return found

    def name(self, name: str) -> str:
        """A word that can name a file: letters, digits and _."""
        found = self.text(name)
        if not NAME.fullmatch(found):
            raise DataError(f"{self.where}.{name} is {shown(found)}: letters, digits and _ are allowed, a letter first")
        return found

    def truth(self, name: str) -> bool:
        """true or false."""
        found = self.take(name)
        if type(found) is not bool:
            raise DataError(f"{self.where}.{name} is {shown(found)}, allowed are true and false")
        return found

    def object(self, name: str) -> "Fields":
        """An object."""
        return Fields(self.take(name), f"{self.where}.{name}")

    def optional(self, name: str) -> "Fields | None":
        """An object, or null."""
        found = self.take(name)
        return None if found is None else Fields(found, f"{self.where}.{name}")

    def objects(self, name: str, most: int) -> list["Fields"]:
        """A list of 1 to ``most`` objects."""
        found = self.take(name)
        if not isinstance(found, list) or not 1 <= len(found) <= most:
            raise DataError(f"{self.where}.{name} must be a list of 1 to {most} objects")
        return [Fields(value, f"{self.where}.{name}[{number}]") for number, value in enumerate(found)]

    def end(self) -> None:
        """Nothing is left."""
        if self._left:
            raise DataError(f"{self.where} has {shown(sorted(self._left)[0])}, which this version does not know")


def shown(value: Any) -> str:
    """A value from a file, for a message."""
    return ascii(value)[:80]
