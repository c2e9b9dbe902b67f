"""The results as Markdown: how many times the limit, and the medians behind that."""

from collections.abc import Callable, Iterable
from typing import Any

Results = dict[str, Any]
"""What `benchmarks.__main__` measured, as it stands in `results.json`."""

TITLES = {"sqlite": "SQLite", "postgresql": "Postgres"}
"""What the families are called."""

GROWTH = ("append_1_at_0", "append_1_at_1000", "append_1_at_10000", "append_1_at_100000")
"""The workloads that show what a session's length costs."""


def markdown(results: Results, pictures: str) -> str:
    """Return the page; `pictures` is the folder that the pictures are in, as the page sees it."""
    lines = [_conditions(results), ""]
    for family, found in results["databases"].items():
        lines += _section(family, found)
    lines += [f"![What an append costs as the session grows]({pictures}/growth.svg)", ""]
    lines += [f"![Messages a second with several writers]({pictures}/throughput.svg)", ""]
    return "\n".join(lines)


def _section(family: str, found: Results) -> list[str]:
    notes = _Notes()
    ratios = _table(found, lambda work: work["title"], lambda work, name: _ratio(work, name, notes), _growth(found))
    figures = _table(found, _title, lambda work, name: _figure(work, name, notes), [])
    return [
        *(f"### {TITLES[family]}", "", f"{found['description']}.", ""),
        *("How many times the limit's time, memory or bytes (for throughput, the limit's over theirs):", ""),
        *(*ratios, "", "Medians, and the quartiles around them:", "", *figures, ""),
        *(*notes.lines(), *_remarks(found), ""),
    ]


def _conditions(results: Results) -> str:
    machine = results["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    computer = (
        f"{machine['processor']}, {machine['processors']} processors, {machine['memory_gib']} GiB of memory, "
        f"{machine['system']}, Python {machine['python']}; the load average was {machine['load_average']} when it began"
    )
    return f"{results['rounds']} rounds in {results['minutes']} minutes on {results['date']}: {computer}. {packages}."


class _Notes:
    """Footnotes of one database's tables: the same text has one number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> str:
        """Return the mark for a text."""
        return f"<sup>{self._numbers.setdefault(text, len(self._numbers) + 1)}</sup>"

    def lines(self) -> list[str]:
        """Return the footnotes."""
        return [f"- <sup>{number}</sup> {text}." for text, number in self._numbers.items()]


def _table(
    found: Results,
    title: Callable[[Results], str],
    cell: Callable[[Results, str], str],
    more: Iterable[list[str]],
) -> list[str]:
    names = list(found["systems"])
    rows = [["", *(found["systems"][name]["name"] for name in names)]]
    rows += [["---", *("---:" for _ in names)]]
    rows += [[title(work), *(cell(work, name) for name in names)] for work in found["workloads"]]
    return [f"| {' | '.join(row)} |" for row in [*rows, *more]]


def ratio(work: Results, name: str) -> float | None:
    """Return how many times worse a system is than the limit, or `None` where there is no telling."""
    own, limit = (work["results"].get(key, {}).get("median") for key in (name, "limit"))
    if not own or not limit:
        return None
    return limit / own if work["unit"] == "messages/s" else own / limit


def _ratio(work: Results, name: str, notes: _Notes) -> str:
    summary = work["results"][name]
    if "blank" in summary:
        return notes.number(summary["blank"])
    times = ratio(work, name)
    return ("" if times is None else _short(times)) + _trouble(summary)


def _figure(work: Results, name: str, notes: _Notes) -> str:
    summary = work["results"][name]
    if "blank" in summary:
        return notes.number(summary["blank"])
    low, median, high = (_short(summary[key]) for key in ("low", "median", "high"))
    return f"{median} ({low} to {high})" if summary["samples"] > 1 else median


def _title(work: Results) -> str:
    return f"{work['title']}: {work['unit']}"


def _trouble(summary: Results) -> str:
    counted = {"lost": summary["lost"], "errors": summary["errors"]}
    return "".join(f", {count:,} {what}" for what, count in counted.items() if count)


def _growth(found: Results) -> list[list[str]]:
    """Return a row that compares each system with itself."""
    works = {work["key"]: work["results"] for work in found["workloads"]}
    if not {GROWTH[0], GROWTH[-1]} <= set(works):
        return []
    pairs = [[works[key][name].get("median") for key in (GROWTH[0], GROWTH[-1])] for name in found["systems"]]
    return [["its own growth from 0 to 100,000", *(_short(last / new) if new and last else "" for new, last in pairs)]]


def _remarks(found: Results) -> list[str]:
    return [
        f"- {system['name']}: {'; '.join(system['remarks'].values())}."
        for system in found["systems"].values()
        if system["remarks"]
    ] + [f"- Left out, as `{module}` isn't installed: {name}." for name, module in found["missing"].items()]


def _short(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
