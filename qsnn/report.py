"""What each bit buys: ``python -m qsnn.report outputs/multirun/... [...]``, tables, intervals, pictures of many runs."""

import sys

from qsnn.command import EXIT_FAILED_RUNS, run_and_leave, wants_usage

USAGE = """usage: python -m qsnn.report FOLDER ... [by=KEY,...] [metric=FIGURE] [select=KEY:VALUE,...] [reference=KEY:VALUE,...]
                             [margin=0.01] [confidence=0.95] [lines=KEY] [out=FOLDER]

Compares the runs in or below the folders, sweeps or single runs, also while a sweep runs: a table of what varies among them
with mean, spread and standard error, memory and time; paired differences to a reference with a confidence interval, and
whether a row is as good within a margin; the front of error against memory; pictures; and a page, report.html, that needs
no network.

by=         keys that make rows (quantization.weight_bits, or weight_bits where that is clear); else all that vary. Runs of a
            row may differ in seed and fold alone
metric=     a figure of summary.json, such as test_accuracy, validation_accuracy, final.distance, best.relative_distance
select=     only runs with these values: several of one key are alternatives, different keys all hold
reference=  what rows are compared with: the row that has these values, and else those of the row itself; without it the row
            with most bits
margin=     in units of the metric, 0.01 of an accuracy is a point: "as good" is yes, no or undecided
confidence= of the intervals: in how many of all such reports the true difference lies inside; above 0, below 1, 0.99 is wider
lines=      the key whose values are lines in the picture of error against memory; else the first bit width that varies
out=        where report.html, table.csv, table.md and the pictures are written; else <first folder>/report. Written over is
            nothing but an earlier report

Exit status 1 if a run is failed, missing or not finished yet: it is named, and its row says so. Other damaged files are named
too, and done without. docs/report.md explains it all.
"""


def main() -> None:
    """Entry point of ``qsnn-report``."""
    run_and_leave(_report)


def _report(arguments: list[str]) -> None:
    if wants_usage(arguments, USAGE):
        return
    from qsnn.comparing.command import report

    printed = report(arguments)
    print(printed.text)
    sys.stdout.flush()
    sys.stderr.writelines(f"{line}\n" for line in (*printed.missing, *printed.damaged))
    if printed.missing:
        sys.exit(EXIT_FAILED_RUNS)


if __name__ == "__main__":
    main()
