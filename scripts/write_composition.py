"""Write the tables of docs/composition.md from the registry alone; what is written there by hand, above the mark, stays.

python scripts/write_composition.py
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

from qsnn.options import GROUPS, Option, options_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "composition.md"
MARK = "<!-- What follows is written by `python scripts/write_composition.py`; do not edit. -->\n"
Kind = tuple[str, str]
"""A kind of "no": the option that needs something, as ``group=name``, and what it needs."""


def own_options(group: str) -> list[Option]:
    """The options of a group that are of this tree, with their defaults."""
    return [schema() for schema in options_of(group).values() if schema.__module__.startswith("qsnn.")]


def word(one: Option) -> str:
    """``group=name``."""
    return f"{one.group}={one.option}"


def depending_groups() -> list[str]:
    """Groups of which some option gives or needs something."""
    return [group for group in GROUPS if any(one.gives or one.needs for one in own_options(group))]


def missing(chosen: list[Option]) -> list[Kind]:
    """What `qsnn.options.misfits` would tell of, shorter."""
    given = frozenset().union(*(one.gives for one in chosen))
    return [(word(one), need) for one in chosen for need in sorted(one.needs - given)]


def reasons(*fixed: Option) -> list[Kind]:
    """Why these options do not go together, whatever else is chosen: what the best choice of the others still lacks. None
    if they do."""
    there = {one.group: [one] for one in fixed}
    free = [
        there.get(group) or [one for one in own_options(group) if not one.stands_for_another]
        for group in depending_groups()
    ]
    return min((missing(list(chosen)) for chosen in itertools.product(*free)), key=len)


class Page:
    """The generated part, with the kinds of "no" in the order in which they are met."""

    def __init__(self) -> None:
        self.kinds: list[Kind] = []

    def verdict(self, *fixed: Option) -> str:
        """``yes``, or ``no`` with the numbers of its reasons."""
        found = reasons(*fixed)
        self.kinds += [kind for kind in found if kind not in self.kinds]
        numbers = sorted(self.kinds.index(kind) + 1 for kind in found)
        return f"no ({', '.join(map(str, numbers))})" if found else "yes"

    def by_trainer(self) -> Iterator[str]:
        """A column for each trainer, a row for each option of another group."""
        trainers = own_options("trainer")
        yield from _head(["", *(f"`{word(one)}`" for one in trainers)])
        for group in depending_groups():
            for one in own_options(group) if group != "trainer" else []:
                verdicts = ["yes: see below"] * len(trainers) if one.stands_for_another else []
                yield _row([f"`{word(one)}`", *(verdicts or (self.verdict(trainer, one) for trainer in trainers))])

    def by_dataset(self, trainer: Option) -> Iterator[str]:
        """A row for each data set, a column for each model and loss, and the loss that ``loss=auto`` takes."""
        losses = own_options("loss")
        columns = [one for one in [*own_options("model"), *losses] if not one.stands_for_another]
        stand_ins = [one for one in losses if one.stands_for_another]
        yield from _head(["", *(f"`{word(one)}`" for one in columns), *(f"`{word(one)}` takes" for one in stand_ins)])
        for data in own_options("dataset"):
            taken = [one.choose(trainer, data) for one in stand_ins]  # type: ignore[attr-defined]
            cells = [f"`{one.option}`" if not reasons(trainer, data, one) else "-" for one in taken]
            yield _row([f"`{word(data)}`", *(self.verdict(trainer, data, one) for one in columns), *cells])

    def of_everything_else(self) -> Iterator[str]:
        """Groups whose options neither give nor need anything."""
        for group in GROUPS:
            if group not in depending_groups():
                names = ", ".join(f"`{one.option}`" for one in own_options(group))
                files = f"every file of settings in `conf/{group}/`"
                yield f"- `{group}`: {names} and {files} go with all of them{self._but(group)}."

    @staticmethod
    def _but(group: str) -> str:
        """What integer arithmetic excepts."""
        integers = "but that `quantization.arithmetic=integer`"
        return {
            "quantization": f", {integers} (`*_integer`) refuses by name every option that would compute in floats",
            "optimizer": f", {integers} takes `sgd` alone",
        }.get(group, "")

    def of_kinds(self) -> Iterator[str]:
        """Every number, with what would help."""
        for number, (needy, need) in enumerate(self.kinds, 1):
            givers = [word(one) for group in GROUPS for one in own_options(group) if need in one.gives]
            yield f"{number}. `{needy}` needs {need}: {' or '.join(f'`{name}`' for name in givers) or 'no option'} gives it."

    def text(self) -> str:
        """All of it."""
        lines = ["## Trainer and the rest\n", *self.by_trainer()]
        for trainer in own_options("trainer"):
            lines += [f"\n## Data sets with `{word(trainer)}`\n", *self.by_dataset(trainer)]
        lines += ["\n## Everything else\n", *self.of_everything_else()]
        lines += ['\n## Every kind of "no"\n', *self.of_kinds()]
        return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(cells: list[str]) -> list[str]:
    return [_row(cells), "|" + "---|" * len(cells)]


def page(old: str) -> str:
    """The whole page, its hand-written head as it is in ``old``."""
    head = old.partition(MARK)[0]
    return f"{head}{MARK}\n{Page().text()}"


def main() -> None:
    """Write it."""
    PAGE.write_text(page(PAGE.read_text() if PAGE.exists() else ""))


if __name__ == "__main__":
    main()
