"""Print a Markdown table of finished runs of the pattern experiment, one row a run, and name those that are not finished.

python scripts/results_table.py outputs/multirun/pattern/<time> outputs/pattern_full_precision/<time>
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from qsnn.training.runs import find_jobs, left_out

WIDTHS = ("weight_bits", "membrane_bits", "synapse_bits", "error_bits", "gradient_bits")
COLUMNS = (
    "weights", "states", "errors", "gradients", "epochs", "final distance", "best distance (epoch)",
    "final / silent", "best / silent", "seconds",
)  # fmt: skip


def widths(summary: dict[str, Any]) -> list[str]:
    """Bits of weights, states (membrane/synapse where these differ), errors and gradients; "float": full precision."""
    bits = ["float" if summary["quantization"][name] is None else str(summary["quantization"][name]) for name in WIDTHS]
    weights, membrane, synapse, errors, gradients = bits
    return [weights, membrane if membrane == synapse else f"{membrane}/{synapse}", errors, gradients]


def by_layer(bits: int | list[int | None] | None) -> list[int]:
    """A width as a list of them, to be sorted by; full precision behind all others."""
    return [width or 99 for width in (bits if isinstance(bits, list) else [bits])]


def row(summary: dict[str, Any]) -> list[str]:
    """The cells of one run."""
    final, best = summary["final"], summary["best"]
    return [
        *widths(summary),
        f"{summary['epochs']}",
        f"{final['distance']:.1f}",
        f"{best['distance']:.1f} ({best['epoch']})",
        f"{final['relative_distance']:.1%}",
        f"{best['relative_distance']:.1%}",
        f"{summary['seconds']:.0f}",
    ]


def table(summaries: list[dict[str, Any]]) -> str:
    """Markdown, fewest bits first, and what the distances are to be compared with."""
    ordered = sorted(summaries, key=lambda s: [by_layer(s["quantization"][name]) for name in WIDTHS])
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(row(summary)) + " |" for summary in ordered]
    silent = sorted({f"{summary['silent_distance']:.1f}" for summary in summaries})
    versions = list(dict.fromkeys(str(summary["versions"]) for summary in summaries))
    return "\n".join([*lines, "", f"Distance of a silent net: {', '.join(silent)}; versions: {'; '.join(versions)}"])


def main() -> int:
    """Read every run below the folders; exit status 1 if one is not finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    folders = parser.parse_args().folders
    jobs = [job for folder in folders for job in find_jobs(folder)]
    finished = [job for job in jobs if job.status == "finished"]
    local = next((job for job in finished if "distance" not in job.summary["final"]), None)
    if local is not None:
        raise SystemExit(f"error: {local.folder} is no run of the pattern experiment: take scripts/accuracy_table.py")
    missing = left_out(jobs) if jobs else [f"error: no runs below {', '.join(map(str, folders))}"]
    if finished:
        print(table([job.summary for job in finished]))
    sys.stderr.writelines(f"{line}\n" for line in missing)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
