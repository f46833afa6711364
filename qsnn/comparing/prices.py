"""By which tables runs were priced, and whose costs are lacking: energies by two tables are not to be compared."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qsnn.comparing.costs import COSTS, ENERGY, WEIGHTS
from qsnn.comparing.records import Record, frozen, printable

NAMES = ("name", "source", "option")
"""What a table has beside its figures."""


def table_of(summary: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    """The table by which a run's energy was made: its figures, or its name where these are not known; empty: unknown."""
    found = _figures(summary)
    name = _name(summary)
    return frozenset(found.items() or ([("name", name)] if name else []))


def _figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Of cost.json, which says by which table it was made, or of the run's own config."""
    config = summary.get("config")
    own = config.get("hardware") if isinstance(config, Mapping) else None
    table = summary.get("hardware", own)
    figures = table.items() if isinstance(table, Mapping) else ()
    return {key: frozen(value) for key, value in figures if key not in NAMES}


def _name(summary: Mapping[str, Any]) -> str:
    energy = summary.get("energy")
    name = energy.get("hardware") if isinstance(energy, Mapping) else None
    return printable(name) if isinstance(name, str) else ""


def told_tables(records: Sequence[Record]) -> str:
    """A sentence if the runs were priced by several tables; "" if by one."""
    priced = [record for record in records if ENERGY.of(record.summary) is not None]
    tables = {table_of(record.summary): _name(record.summary) for record in priced}
    if len(tables) < 2:
        return ""
    names = ", ".join(dict.fromkeys(name or "one without a name" for name in tables.values()))
    keys = sorted({key for table in tables for key, _ in table} - {*NAMES})
    differing = [key for key in keys if len({dict(table).get(key) for table in tables}) > 1]
    told = f", which differ in {', '.join(differing[:3])}" if differing else ""
    example = f" (select=hardware.{differing[0]}:<value>)" if differing else ""
    return printable(
        f"Energies are by {len(tables)} hardware tables ({names}){told}: they are not compared, and have neither front nor "
        f"picture; choose runs of one table{example}."
    )


def told_lacks(records: Sequence[Record]) -> Iterator[str]:
    """A sentence for each cost that some finished runs tell and others do not, or that is damaged."""
    for cost in COSTS:
        unknown = [record for record in records if cost.of(record.summary) is None]
        damaged = [record for record in unknown if cost.is_damaged(record.summary)]
        if damaged or 0 < len(unknown) < len(records):
            parts = {"lacking": len(unknown) - len(damaged), "damaged": len(damaged)}
            counts = " and ".join(f"{word} in {number}" for word, number in parts.items() if number)
            first = (damaged or unknown)[0].folder
            where = printable(f", such as {first}" if len(damaged or unknown) > 1 else f", {first}")
            front = ", and is on no front of it" if cost in (WEIGHTS, ENERGY) else ""
            rest = f"a row's is the median of the others, and says how many they are{front}"
            told = rest if len(unknown) < len(records) else "it is left out"
            yield f"{cost.name.capitalize()} is {counts} of {len(records)} finished runs{where}: {told}."
