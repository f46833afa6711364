"""What a net says of recordings, as text and tables."""

import csv
import io
import json
from typing import Any, NamedTuple

_SILENT = " (no events in the window)"


class Prediction(NamedTuple):
    """``votes``: for each class, after the last step; ``tie``: whether another class has as many; ``silent``: whether no event
    lay in the window; ``course``: the votes after each step, where these are asked for."""

    file: str
    label: str
    votes: dict[str, float]
    tie: bool
    silent: bool
    course: list[list[float]]


def as_text(answers: list[Prediction], form: str) -> str:
    """All answers as a ``table`` for people, ``csv`` or ``json``."""
    if form == "json":
        return json.dumps([_as_record(answer) for answer in answers], indent=2)
    if form == "csv":
        rows = ([answer.file, answer.label, answer.tie, *answer.votes.values()] for answer in answers)
        return _csv([["file", "class", "tie", *answers[0].votes], *rows])
    width = max(len(answer.label) for answer in answers)
    return "\n".join(f"{answer.label:<{width}}  {_votes(answer)}  {answer.file}" for answer in answers)


def votes_over_time(answers: list[Prediction], dt: float) -> str:
    """CSV with a row for each step of each recording: the step, counted from 1, its end in s, and each class's votes until
    then. ``dt``: s a step."""
    rows = (
        [answer.file, step, round(step * dt, 9), *votes]
        for answer in answers
        for step, votes in enumerate(answer.course, 1)
    )
    return _csv([["file", "step", "seconds", *answers[0].votes], *rows])


def _csv(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().rstrip("\n")


def _as_record(answer: Prediction) -> dict[str, Any]:
    """For JSON; ``votes_over_time``: by class, one number a step."""
    course = dict(zip(answer.votes, map(list, zip(*answer.course, strict=True)), strict=True))
    named = {"file": answer.file, "class": answer.label, "tie": answer.tie}
    return {**named, "votes": answer.votes, "votes_over_time": course}


def _votes(answer: Prediction) -> str:
    """The three classes with most votes."""
    first: list[tuple[str, Any]] = sorted(answer.votes.items(), key=lambda entry: -entry[1])[:3]
    return ", ".join(f"{name}: {vote:g}" for name, vote in first) + _SILENT * answer.silent + " (tie)" * answer.tie
