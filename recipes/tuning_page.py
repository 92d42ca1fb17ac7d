"""A search's page: the trials ranked, how the fields went together, which of them mattered, what size costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from recipes import report
from recipes.report import LIGHT

if TYPE_CHECKING:
    from recipes.search_space import Space
    from recipes.tuning import Search, Trial

ENOUGH = 5
"""Trials below which a fit of a forest to them says nothing."""


def rows(search: Search) -> list[dict[str, Any]]:
    """One row of figures a trial, the best first.

    Args:
        search: Its trials are ranked.

    Returns:
        What `trials.json` holds; all but the measured times is the same after a kill.
    """
    return [
        {
            "trial": trial.number,
            "fields": {name: list(v) if isinstance(v, tuple) else v for name, v in trial.fields.items()},
            search.goal.column: trial.outcome.details.get("value"),
            "score": trial.outcome.score,
            "within": trial.within,
            "epoch": trial.outcome.details.get("epoch"),
            "measured": trial.outcome.details.get("measured", {}),
            "test": trial.outcome.details.get("test", {}),
            "reason": trial.outcome.reason,
            "run": str(trial.folder.relative_to(search.folder)),
        }
        for trial in search.trials
    ]


def write(path: Path, name: str, command: str, search: Search, space: Space) -> None:
    """Writes the page.

    Args:
        path: Where it goes.
        name: The recipe's name.
        command: The shell command that goes on with the search.
        search: What was found so far.
        space: What was searched.

    Raises:
        RecipeError: It could not be written.
    """
    done = [trial for trial in search.trials if trial.outcome.score is not None]
    sections = [report.Section("Trials", _table(search, space), _caption(search))]
    if len(done) > 1:
        caption = "Blue for the better half, thick for the best."
        sections.append(report.Section("Parallel coordinates", _parallel(search, space, done), caption))
    if len(done) >= ENOUGH:
        caption = "How much worse a forest fitted to the trials predicts when one field's values are shuffled."
        sections.append(report.Section("Importance of the fields", _importance(search, space, done), caption))
    if done:
        pictures = Markup("").join(
            _pareto(search, done, quantity) for quantity in ("tflite_bytes", "tflite_latency_ms")
        )
        caption = "Each point is a trial's exported file; the line joins those that no other beats in both."
        pictures = Markup('<div class="panels">{}</div>').format(pictures)
        sections.append(report.Section("What the metric costs", pictures, caption))
    report.write(
        path,
        title=f"{name}: {len(search.trials)} trials",
        summary=_summary(search),
        command=command,
        facts=_facts(search, space),
        sections=sections,
    )


def _summary(search: Search) -> str:
    if search.best is None:
        return "No trial has kept all limits so far." if search.trials else "No trial has ended so far."
    fields = ", ".join(f"{name} {_text(value)}" for name, value in search.best.fields.items())
    return f"The best so far is trial {search.best.number} ({fields}): {_value(search, search.best):.4g}."


def _facts(search: Search, space: Space) -> dict[str, str]:
    goal = search.goal
    facts = {"Objective": f"{goal.column}, {'highest' if goal.direction == 'max' else 'lowest'} first"}
    if goal.limits:
        facts["Limits"] = ", ".join(f"{name} at most {most:g}" for name, most in goal.limits.items())
    for name, field in space.items():
        scale = ", on a log scale" if field.log else ""
        facts[name] = ", ".join(map(_text, field.values)) if field.values else f"{field.low:g} to {field.high:g}{scale}"
    return facts


def _caption(search: Search) -> str:
    failed = sum(trial.outcome.score is None for trial in search.trials)
    over = sum(trial.outcome.score is not None and not trial.within for trial in search.trials)
    return f"{len(search.trials)} trials, {failed} failed, {over} over a limit."


def _table(search: Search, space: Space) -> Markup:
    names = list(dict.fromkeys([*space, *(name for trial in search.trials for name in trial.fields)]))
    columns = ["trial", search.goal.column, *names, "tflite (kB)", "tflite (ms)", "parameters", "verdict"]
    cells = []
    for trial in search.trials:
        measured = trial.outcome.details.get("measured", {})
        size = measured.get("tflite_bytes")
        cells.append(
            [
                Markup('<a href="{}/report.html">{}</a>').format(
                    trial.folder.relative_to(search.folder).as_posix(), trial.number
                ),
                trial.outcome.details.get("value"),
                *(_text(trial.fields.get(name, "-")) for name in names),
                None if size is None else size / 1000,
                measured.get("tflite_latency_ms"),
                measured.get("parameters"),
                "within the limits" if trial.within else (trial.outcome.reason or "over a limit"),
            ]
        )
    return report.table(columns, cells) if cells else Markup("<p>No trial has ended so far.</p>")


def _value(search: Search, trial: Trial) -> float:
    return float(trial.outcome.details["value"])


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "+".join(map(str, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _axis(field: Any, values: Sequence[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """Where values stand on an axis from 0 to 1, and what is written beside it."""
    if field.values:
        last = max(1, len(field.values) - 1)
        places = {value: index / last for index, value in enumerate(field.values)}
        return [places[value] for value in values], [(place, _text(value)) for value, place in places.items()]
    low, high = (math.log(end) if field.log else float(end) for end in (field.low, field.high))
    at = [((math.log(value) if field.log else value) - low) / (high - low) for value in values]
    return at, [(0.0, _text(field.low)), (1.0, _text(field.high))]


def _parallel(search: Search, space: Space, done: Sequence[Trial]) -> Markup:
    results = [_value(search, trial) for trial in done]
    low, high = min(results), max(results)
    spread = (high - low) or 1.0
    axes_of = [_axis(field, [trial.fields[name] for trial in done]) for name, field in space.items()]
    axes_of.append(([(value - low) / spread for value in results], [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]))
    figure, axes = report.themed_axes(9.0, 3.6)
    axes.grid(visible=False)
    axes.set_yticks([])
    axes.set_xticks(range(len(axes_of)), [*space, search.goal.column])
    for index, (_, marks) in enumerate(axes_of):
        axes.axvline(index, color=LIGHT["rule"], linewidth=1)
        for place, text in marks:
            axes.annotate(text, (index, place), xytext=(4, 2), textcoords="offset points", size=8, color=LIGHT["muted"])
    # The best is drawn last, on top.
    for rank in reversed(range(len(done))):
        line = [places[rank] for places, _ in axes_of]
        share = 1 - rank / max(1, len(done) - 1)
        colour = LIGHT["accent"] if share > 0.5 else LIGHT["second"]
        axes.plot(
            range(len(line)), line, color=colour, alpha=0.25 + 0.75 * abs(2 * share - 1), linewidth=1 + 2 * (rank == 0)
        )
    return report.inline_svg(figure, f"The fields of {len(done)} trials and their {search.goal.column}")


def importance(search: Search, space: Space, done: Sequence[Trial]) -> dict[str, float]:
    """Estimates how much each field mattered.

    Args:
        search: Its objective is what the fields explain.
        space: The fields.
        done: Trials that have a score.

    Returns:
        Field name -> share of all that the fields explain, the largest first; equal shares where they explain nothing.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    table = np.array([_axis(field, [trial.fields[name] for trial in done])[0] for name, field in space.items()]).T
    results = np.array([_value(search, trial) for trial in done])
    forest = RandomForestRegressor(200, random_state=0, n_jobs=1).fit(table, results)
    found = permutation_importance(forest, table, results, n_repeats=20, random_state=0).importances_mean.clip(min=0)
    shares = found / found.sum() if found.sum() > 0 else np.full(len(space), 1 / len(space))
    return dict(sorted(zip(space, map(float, shares), strict=True), key=lambda pair: -pair[1]))


def _importance(search: Search, space: Space, done: Sequence[Trial]) -> Markup:
    shares = importance(search, space, done)
    figure, axes = report.themed_axes(6.0, 0.6 + 0.4 * len(shares))
    axes.grid(visible=False)
    axes.barh(list(reversed(shares)), list(reversed(shares.values())), color=LIGHT["accent"], height=0.6)
    axes.set_xlabel("share of what the fields explain")
    return report.inline_svg(
        figure, "Importance: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    )


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Finds the points that no other beats.

    Args:
        points: (cost, loss) each, both better the lower.

    Returns:
        Indices of those for which no other point is as good in both and better in one, the cheapest first.
    """
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: points[index]):
        if not front or points[index][1] < points[front[-1]][1]:
            front.append(index)
    return front


def _pareto(search: Search, done: Sequence[Trial], quantity: str) -> Markup:
    known = [trial for trial in done if quantity in trial.outcome.details["measured"]]
    if not known:
        return Markup("")
    sign = -1 if search.goal.direction == "max" else 1
    costs = [trial.outcome.details["measured"][quantity] for trial in known]
    results = [_value(search, trial) for trial in known]
    front = pareto_front([(cost, sign * result) for cost, result in zip(costs, results, strict=True)])
    figure, axes = report.themed_axes(4.6, 3.2)
    axes.set_xlabel(quantity.replace("_", " "))
    axes.set_ylabel(search.goal.column.replace("_", " "))
    axes.scatter(costs, results, color=LIGHT["second"], s=22)
    axes.plot([costs[i] for i in front], [results[i] for i in front], color=LIGHT["accent"], marker="o", linewidth=2)
    for trial, cost, result in zip(known, costs, results, strict=True):
        axes.annotate(str(trial.number), (cost, result), xytext=(4, 3), textcoords="offset points", size=8)
    if limit := search.goal.limits.get(quantity, search.goal.limits.get(quantity.removeprefix("tflite_"))):
        axes.axvline(limit, color=LIGHT["bad"], linewidth=1, linestyle=(0, (4, 3)))
    svg = report.inline_svg(figure, f"{search.goal.column} against {quantity} of {len(known)} trials")
    return Markup('<figure class="panel">{}</figure>').format(svg)
