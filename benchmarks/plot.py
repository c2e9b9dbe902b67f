"""The results as two pictures."""

from pathlib import Path
from typing import Any

from benchmarks.report import GROWTH, TITLES, Results
from benchmarks.systems import SYSTEMS

_LENGTHS = ("0", "1,000", "10,000", "100,000")
_CROWDS = ("tasks_32", "tasks_128", "shared_16_tasks", "shared_4_processes")


def draw(results: Results, folder: Path) -> None:
    """Write `growth.svg` and `throughput.svg`; matplotlib must be installed."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "sessionstore", "font.size": 9})
    from matplotlib import pyplot as plt

    palette = plt.get_cmap("tab10")
    colours = {name: palette(index) for index, name in enumerate(SYSTEMS)}
    for name, fill in (("growth", _growth), ("throughput", _throughput)):
        databases = results["databases"]
        figure, axes = plt.subplots(len(databases), 1, figsize=(9, 4 * len(databases)), squeeze=False)
        for place, (family, found) in zip(axes[:, 0], databases.items(), strict=True):
            fill(place, found, colours)
            place.set_title(TITLES[family])
            place.set_yscale("log")
            place.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
        figure.tight_layout()
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)


def _works(found: Results) -> dict[str, Results]:
    return {work["key"]: work for work in found["workloads"]}


def _growth(place: Any, found: Results, colours: dict[str, Any]) -> None:
    works = _works(found)
    keys = [key for key in GROWTH if key in works]
    for name, system in found["systems"].items():
        points = {key: works[key]["results"][name].get("median") for key in keys}
        shown = [(_LENGTHS[GROWTH.index(key)], value) for key, value in points.items() if value]
        place.plot([x for x, _ in shown], [y for _, y in shown], marker="o", label=system["name"], color=colours[name])
    place.set_xlabel("messages in the session")
    place.set_ylabel("append 1: ms")


def _throughput(place: Any, found: Results, colours: dict[str, Any]) -> None:
    works = {key: work for key, work in _works(found).items() if key in _CROWDS}
    width = 0.8 / len(found["systems"])
    for index, (name, system) in enumerate(found["systems"].items()):
        heights = [work["results"][name].get("median", 0) for work in works.values()]
        lefts = [at + index * width for at in range(len(works))]
        place.bar(lefts, heights, width, label=system["name"], color=colours[name])
    titles = [work["title"].replace(", ", ",\n") for work in works.values()]
    place.set_xticks([at + 0.4 for at in range(len(works))], titles)
    place.set_ylabel("messages a second")
