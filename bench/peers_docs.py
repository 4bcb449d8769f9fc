"""Writes what `peers.py --out FILE` found into docs/benchmarks.md, with its plots.

Needs the dependency group ``bench`` (matplotlib).
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from peers_report import LATE_MS, most_carried

DOCS: Final = Path(__file__).parents[1] / "docs"
BEGIN: Final = "<!-- written by bench/peers_docs.py -->"
END: Final = "<!-- end -->"
_SIZE: Final = (9.0, 5.0)
_BEFORE: Final = {"plain": "plain bridge", "direct": "no hop at all"}


def name_of(row: dict[str, Any]) -> str:
    """Return what a reader calls the system."""
    if row["transport"]:
        return f"Warmline, {row['transport']} links"
    name: str = row["system"]
    return _BEFORE.get(name, name)


def lines_of(
    runs: list[dict[str, Any]], *keys: str
) -> Iterator[tuple[str, bool, list[int], list[float]]]:
    """Yield for each system and TLS its loads and the figure at *keys*."""
    found: dict[tuple[str, bool], dict[int, float]] = {}
    for run in runs:
        value: Any = run
        for key in keys:
            value = value[key]
        if value:
            found.setdefault((name_of(run), run["tls"]), {})[run["calls"]] = value
    for (name, tls), points in found.items():
        loads = sorted(points)
        yield name, tls, loads, [points[load] for load in loads]


def plot(
    runs: list[dict[str, Any]], keys: tuple[str, ...], title: str, unit: str
) -> tuple[Figure, Axes]:
    """Return a figure with a line for each system; dashed with TLS everywhere."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    colours: dict[str, str] = {}
    for name, tls, loads, values in lines_of(runs, *keys):
        colour = colours.setdefault(name, f"C{len(colours)}")
        shown = name if not tls else f"{name}, TLS"
        style = "--" if tls else "-"
        axes.plot(loads, values, style, marker="o", color=colour, label=shown)
    axes.set(xscale="log", yscale="log", xlabel="calls at once", ylabel=unit)
    loads = sorted({run["calls"] for run in runs})
    axes.set_xticks(loads, [str(load) for load in loads])
    axes.minorticks_off()
    axes.set_title(title)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure, axes


def draw(runs: list[dict[str, Any]], where: Path) -> list[str]:
    """Write the plots; return their names."""
    where.mkdir(exist_ok=True)
    hops = [run for run in runs if run["system"] != "direct"]
    cpu, _ = plot(
        hops,
        ("cpu_ms_per_call_second", "total"),
        "Processor time of one call, all processes of the system",
        "ms per second of call",
    )
    delay, axes = plot(
        runs, ("added_ms", "p99"), "Caller audio, carrier to model, p99", "ms"
    )
    axes.axhline(LATE_MS, color="black", linewidth=0.8, linestyle=":")
    memory, _ = plot(
        hops, ("rss_kb_per_call", "total"), "Resident memory of one call", "KB"
    )
    figures = {"peers-cpu.png": cpu, "peers-latency.png": delay}
    figures["peers-memory.png"] = memory
    for name, figure in figures.items():
        figure.savefig(where / name, dpi=110)
    return list(figures)


def table(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the figures, in Markdown."""
    machine, runs = found["machine"], found["runs"]
    yield (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"Python {machine['python']}; medians of {found['rounds']} rounds of "
        f"{found['seconds']:g} s."
    )
    yield ""
    heads = (
        "system",
        "TLS",
        "calls",
        "CPU ms per call-second (edge + agent)",
        "calls per core at 60 % (edge, agent)",
        "there p50 / p99 ms",
        "back p50 / p99 ms",
        "RSS KB per call (edge + agent)",
        "lost",
    )
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for run in runs:
        cpu, memory = run["cpu_ms_per_call_second"], run["rss_kb_per_call"]
        cells = (
            name_of(run),
            "everywhere" if run["tls"] else "",
            str(run["calls"]),
            _parts(cpu, ".2f"),
            _each(run["calls_per_core"]),
            _delays(run["added_ms"]),
            _delays(run["back_ms"]),
            _parts(memory, ".0f"),
            "" if run["carried"] else f"{run['lost_percent']:.1f} %",
        )
        yield f"| {' | '.join(cells)} |"
    yield from _ratios(found)


def _ratios(found: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "| CPU of Warmline / of the peer, each with its calls | |"
    yield "|---|---|"
    for key, value in found["ratios"].items():
        yield f"| {key} | {value:.3f} |"
    yield ""
    yield f"| most calls measured with a p99 of at most {LATE_MS:g} ms each way | |"
    yield "|---|---|"
    for key, value in most_carried(found["runs"]).items():
        yield f"| {key} | {value} |"


def _parts(values: dict[str, float | None], form: str) -> str:
    total = format(values["total"] or 0.0, form)
    if values["edge"] is None or values["agent"] is None:
        return total
    return f"{total} ({values['edge']:{form}} + {values['agent']:{form}})"


def _each(values: dict[str, float | None]) -> str:
    shown = [f"{values[role]:.0f}" for role in ("edge", "agent") if values[role]]
    whole = values["total"]
    return ", ".join(shown) or ("" if whole is None else f"{whole:.0f}")


def _delays(values: dict[str, float | None]) -> str:
    return " / ".join("-" if v is None else f"{v:.2f}" for v in values.values())


def main() -> None:
    """Write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("found", type=Path, help="what peers.py --out wrote")
    parser.add_argument("--docs", type=Path, default=DOCS)
    chosen = parser.parse_args()
    mpl.use("agg")
    found = json.loads(chosen.found.read_text())
    names = draw(found["runs"], chosen.docs / "images")
    page = chosen.docs / "benchmarks.md"
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    images = [f"![{name.removesuffix('.png')}](images/{name})" for name in names]
    lines = [BEGIN, *table(found), "", *images, END]
    page.write_text(before + "\n".join(lines) + after)


if __name__ == "__main__":
    main()
