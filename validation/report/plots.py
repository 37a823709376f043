"""The pictures of the report: which there are, what each shows, and what it says to who does not see it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from validation.comparison import Comparison
from validation.report.canvas import CANDIDATE, REFERENCE, WIDTH, Canvas, Panel, text_width
from validation.report.wording import (
    cell,
    checked_table,
    format_number,
    label_parts,
    main_rows,
    quantity_words,
    rows_of,
    shorten,
    side_names,
)

__all__ = ["Plot", "plots"]

_MOST_PARAMETERS = 12
_MOST_CELLS = 40


@dataclass(frozen=True)
class Plot:
    """One picture.

    Attributes
    ----------
    name : str
        Short and stable: ``"estimates"``, ``"blups"``, ``"posterior"``, ``"ecdf"``, ``"scores"``, ``"digits"``.
    title : str
        Caption.
    alt : str
        What the picture shows, for someone who does not see it: with figures.
    svg : str
        The ``<svg>`` element.
    """

    name: str
    title: str
    alt: str
    svg: str


def plots(comparison: Comparison) -> list[Plot]:
    """Every picture that the comparison has data for, in the order of the report."""
    table = checked_table(comparison)
    makers: Sequence[Callable[[Comparison, pd.DataFrame], Plot | None]] = (
        estimates_plot,
        blups_plot,
        posterior_plot,
        ecdf_plot,
        scores_plot,
        digits_plot,
    )
    found = (maker(comparison, table) for maker in makers)
    return [plot for plot in found if plot is not None]


def estimates_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """Estimates with intervals, both sides of each parameter one above the other, each parameter on its own scale."""
    rows = _intervals(table)
    if not rows:
        return None
    rows, left_out = rows[:_MOST_PARAMETERS], rows[_MOST_PARAMETERS:]
    names = side_names(comparison)
    canvas = Canvas(56.0 * len(rows) + 2.0)
    left = max(map(text_width, names)) + 8.0
    for number, (label, sides) in enumerate(rows):
        low, high = min(side[1] for side in sides), max(side[2] for side in sides)
        margin = 0.04 * (high - low) or abs(low) * 0.1 or 1.0
        box = (left, 14.0 + 56.0 * number, WIDTH - left - 12.0, 26.0)
        panel = Panel(canvas, *box, (low - margin, high + margin), (-0.6, 1.3))
        panel.title(label)
        for y, name, colour, shape, dash, (middle, lower, upper) in zip(
            (1.0, 0.0), names, (REFERENCE, CANDIDATE), ("circle", "square"), ("", "5 2.5"), sides, strict=True
        ):
            panel.line([lower, upper], [y, y], colour, width=1.6, dash=dash)
            x, down = panel.at(middle, y)[0]
            canvas.mark(x, down, colour, shape)
            canvas.text(left - 6.0, down + 2.6, name, anchor="end")
        panel.x_axis()
    what = "posterior means with central 95% intervals" if comparison.kind == "bayes" else "estimates ± 1.96 SE"
    described = "; ".join(
        f"{label}: {names[0]} {_interval_words(sides[0])}, {names[1]} {_interval_words(sides[1])}"
        for label, sides in rows
    )
    more = f" ({len(left_out)} more parameters are in the table)" if left_out else ""
    title = f"Estimates side by side: {what}{more}"
    return Plot("estimates", title, f"{title}. {described}.", canvas.svg())


def blups_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """Random effects, candidate against reference, one panel for each effect."""
    quantity = "ranef" if (table["quantity"] == "ranef").any() else "post-mean"
    rows = table[(table["quantity"] == quantity) & (table["level"] != "")]
    rows = rows.drop_duplicates(["group", "term", "level"])  # several checks may judge one number
    rows = rows[np.isfinite(rows["reference"]) & np.isfinite(rows["candidate"])]
    if not len(rows):
        return None
    panels = list(rows.groupby(["group", "term"], sort=False))[:6]
    names = side_names(comparison)
    columns = min(len(panels), 2)
    side = 125.0 if columns > 1 else 180.0
    canvas = Canvas((side + 52.0) * -(-len(panels) // columns))
    described = []
    for number, ((group, term), part) in enumerate(panels):
        a, b = (part[name].to_numpy(dtype=float) for name in ("reference", "candidate"))
        low, high = float(min(a.min(), b.min())), float(max(a.max(), b.max()))
        margin = 0.05 * (high - low) or 1.0
        limits = (low - margin, high + margin)
        down, across = divmod(number, columns)
        left = 45.0 + (WIDTH / columns) * across
        panel = Panel(canvas, left, 20.0 + (side + 52.0) * down, side, side, limits, limits)
        panel.line(limits, limits, width=0.8, dash="5 3")
        panel.dots(a, b)
        panel.x_axis(names[0], most=5)
        panel.y_axis(names[1], most=5)
        label = label_parts(group, term, "", "")
        panel.title(label)
        worst = int(np.abs(b - a).argmax())
        gap = format_number(float(abs(b - a)[worst]), 2)
        canvas.text(panel.left + 5.0, panel.top + 8.0, f"largest difference {gap}")
        described.append(
            f"{label}: {len(part):,} levels, largest difference {gap} at level {part['level'].iloc[worst]}"
        )
    what = "Conditional modes (BLUPs)" if quantity == "ranef" else "Posterior means of the random effects"
    title = f"{what}, {names[1]} against {names[0]}: on the dashed line they are equal"
    return Plot("blups", title, f"{title}. {'; '.join(described)}.", canvas.svg())


def posterior_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """Posterior draws of the main parameters, both sides as histograms over one another."""
    names = side_names(comparison)
    pairs = _draw_pairs(comparison)[:6]
    if not pairs:
        return None
    columns = min(len(pairs), 2)
    canvas = Canvas(126.0 * -(-len(pairs) // columns) + 14.0)
    _legend(canvas, names)
    described = []
    for number, (label, a, b) in enumerate(pairs):
        low, high = np.quantile(np.concatenate([a, b]), [0.001, 0.999])
        edges = np.linspace(low, high if high > low else low + 1.0, 41)
        heights = [np.histogram(draws, edges, density=True)[0] for draws in (a, b)]
        down, across = divmod(number, columns)
        box = (6.0 + (WIDTH / columns) * across, 34.0 + 126.0 * down, WIDTH / columns - 18.0, 85.0)
        panel = Panel(canvas, *box, (float(edges[0]), float(edges[-1])), (0.0, 1.05 * float(np.max(heights)) or 1.0))
        panel.title(label)
        panel.steps(heights[0], edges, REFERENCE, fill=0.18)
        panel.steps(heights[1], edges, CANDIDATE, dash="5 2.5")
        panel.x_axis(most=5)
        described.append(
            f"{label}: {names[0]} mean {format_number(a.mean(), 5)}, sd {format_number(a.std(ddof=1), 3)}; "
            f"{names[1]} mean {format_number(b.mean(), 5)}, sd {format_number(b.std(ddof=1), 3)}"
        )
    title = f"Posterior draws: {names[0]} filled with a solid line, {names[1]} dashed"
    return Plot("posterior", title, f"{title}. {'; '.join(described)}.", canvas.svg())


def ecdf_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """ECDF differences with their simultaneous 95% bands, one panel for each parameter (Säilynoja et al. 2022)."""
    from validation.judge.ecdf import band, ecdf_difference

    names = side_names(comparison)
    pairs = _draw_pairs(comparison)[:6]
    if not pairs:
        return None
    columns = min(len(pairs), 2)
    lines = -(-len(pairs) // columns)
    found = [(ecdf_difference(b, a), band(b.size, a.size)) for _, a, b in pairs]
    top = 1.08 * max(float(np.abs(np.concatenate([curve.difference, *limits[1:]])).max()) for curve, limits in found)
    canvas = Canvas(111.0 * lines + 22.0)
    described = []
    for number, ((label, _, _), (curve, (position, lower, upper))) in enumerate(zip(pairs, found, strict=True)):
        down, across = divmod(number, columns)
        left = 48.0 + (WIDTH - 48.0) / columns * across
        box = (left, 18.0 + 111.0 * down, (WIDTH - 48.0) / columns - 22.0, 74.0)
        panel = Panel(canvas, *box, (0.0, 1.0), (-top, top))
        panel.title(label)
        corners = np.vstack([panel.at(position, lower), panel.at(position, upper)[::-1]])
        canvas.path(corners, REFERENCE, fill=0.16)
        panel.line([0.0, 1.0], [0.0, 0.0], width=0.7, dash="5 3")
        panel.line(curve.position, curve.difference, CANDIDATE)
        panel.x_axis("rank among all draws" if down == lines - 1 else "", most=3)
        if across == 0:
            panel.y_axis(f"ECDF, {names[1]} - {names[0]}" if down == 0 else "", most=4)
        outside = int(((curve.difference < lower - 1e-12) | (curve.difference > upper + 1e-12)).sum())
        largest = format_number(float(np.abs(curve.difference).max()), 2)
        described.append(
            f"{label}: largest difference {largest}, "
            + (f"outside the band at {outside} of {position.size} points" if outside else "inside the band")
        )
    title = "Differences of the empirical distribution functions, with simultaneous 95% bands for equal distributions"
    return Plot("ecdf", title, f"{title}. {'; '.join(described)}.", canvas.svg())


def scores_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """All z-scores of a posterior comparison, sorted, against the half-normal quantiles that chance would give."""
    from scipy.special import ndtri

    rows = [row for row in rows_of(table) if row.check == "gate-3" and np.isfinite(row.scaled)]
    if not rows:
        return None
    z = np.sort([abs(row.scaled) for row in rows])
    expected = ndtri(0.5 + 0.5 * (np.arange(z.size) + 0.5) / z.size)
    limit = max(row.tolerance for row in rows)
    top = 1.08 * max(limit, float(z.max()), float(expected.max()))
    right = 1.05 * float(expected.max())
    canvas = Canvas(209.0)
    panel = Panel(canvas, 45.0, 8.0, WIDTH - 55.0, 170.0, (0.0, right), (0.0, top))
    panel.line([0.0, min(right, top)], [0.0, min(right, top)], width=0.8, dash="5 3")
    panel.line([0.0, right], [limit, limit], CANDIDATE, width=1.2)
    canvas.text(panel.left + 4.0, float(panel.at(0.0, limit)[0, 1]) - 3.0, f"limit {limit:.2f}", size=8)
    panel.dots(expected, z)
    panel.x_axis("|z| expected by chance")
    panel.y_axis("|z| found")
    title = "z-scores of all posterior summaries: on the dashed line they are what chance gives"
    mean_square = float((z**2).mean()) ** 0.5
    alt = f"{title}. {z.size:,} scores, largest {z.max():.2f}, limit {limit:.2f}, root mean square {mean_square:.2f}."
    return Plot("scores", title, alt, canvas.svg())


def digits_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """Digits of agreement of each quantity: the least, the median and the most; every cell carries its number.

    Counts and labels are left out: they are equal or not. So are posteriors: their digits tell of the number of draws.
    """
    if comparison.kind == "bayes":
        return None
    found: dict[str, list[float]] = {}
    failed: set[str] = set()
    for row in rows_of(table):
        if row.tolerance == 0 or row.unit == "exact":
            continue
        name = quantity_words(row.quantity)
        if np.isfinite(row.digits):
            found.setdefault(name, []).append(row.digits)
            if row.verdict.failed:
                failed.add(name)
    if not found:
        return None
    names = sorted(found, key=lambda name: min(found[name]))
    shown, left_out = names[:_MOST_CELLS], names[_MOST_CELLS:]
    labels = [f"{shorten(name, 34)} ({len(found[name]):,})" for name in shown]
    left = max(text_width(label, 8.0) for label in labels) + 10.0
    step = (WIDTH - left) / 3
    canvas = Canvas(18.0 + 18.0 * len(shown))
    for x, heading in enumerate(("least", "median", "most")):
        canvas.text(left + step * (x + 0.5), 11.0, heading, size=8, anchor="middle")
    for y, name in enumerate(shown):
        canvas.text(left - 6.0, 30.0 + 18.0 * y, labels[y], size=8, anchor="end")
        digits = found[name]
        for x, value in enumerate((min(digits), float(np.median(digits)), max(digits))):
            strength = min(max(value / 15.0, 0.03), 1.0)
            canvas.box(left + step * x + 1.5, 19.0 + 18.0 * y, step - 3.0, 16.0, REFERENCE, 0.55 * strength)
            bad = x == 0 and name in failed
            text = f"{value:.1f} ✗" if bad else f"{value:.1f}"
            canvas.text(left + step * (x + 0.5), 30.0 + 18.0 * y, text, size=8, anchor="middle", bold=bad)
    more = f" ({len(left_out)} more quantities are in the table)" if left_out else ""
    title = f"Digits of agreement, with how many numbers there are (✗: some are outside their tolerance){more}"
    described = "; ".join(f"{name}: from {min(found[name]):.1f} to {max(found[name]):.1f}" for name in shown)
    return Plot("digits", title, f"{title}. {described}.", canvas.svg())


def _legend(canvas: Canvas, names: Sequence[str]) -> None:
    """Which line is which side's, along the top."""
    across = 6.0
    for name, colour, dash in zip(names, (REFERENCE, CANDIDATE), ("", "5 2.5"), strict=True):
        canvas.path(np.array([[across, 9.0], [across + 18.0, 9.0]]), colour, dash=dash)
        canvas.text(across + 22.0, 11.6, name)
        across += 40.0 + text_width(name)


def _intervals(table: pd.DataFrame) -> list[tuple[str, list[tuple[float, float, float]]]]:
    """Label, and for both sides (middle, low, high), of each parameter that has all of these."""
    rows = main_rows(table)
    keys = ["group", "term", "term2"]
    needed = rows[rows["quantity"].isin(["fixef", "se", "post-mean", "post-q2.5", "post-q97.5"])]
    wide = {
        quantity: part.drop_duplicates(keys).set_index(keys)[["reference", "candidate"]]
        for quantity, part in needed.groupby("quantity", sort=False)
    }
    found: list[tuple[str, list[tuple[float, float, float]]]] = []
    if "fixef" in wide and "se" in wide:
        middle, half = wide["fixef"], 1.959964 * wide["se"].reindex(wide["fixef"].index)
        bounds = (middle, middle - half, middle + half)
    elif {"post-mean", "post-q2.5", "post-q97.5"} <= wide.keys():
        middle = wide["post-mean"]
        bounds = (middle, wide["post-q2.5"].reindex(middle.index), wide["post-q97.5"].reindex(middle.index))
    else:
        return []
    sides = [
        np.column_stack([part[side].to_numpy(dtype=float) for part in bounds]) for side in ("reference", "candidate")
    ]
    for number, (group, term, term2) in enumerate(middle.index.tolist()):
        both = [(float(a), float(b), float(c)) for a, b, c in (side[number] for side in sides)]
        if np.isfinite(both).all():
            found.append((label_parts(group, term, term2, ""), both))
    return found


def _interval_words(side: tuple[float, float, float]) -> str:
    return f"{format_number(side[0], 5)} ({format_number(side[1], 5)} to {format_number(side[2], 5)})"


def _draw_pairs(comparison: Comparison) -> list[tuple[str, np.ndarray, np.ndarray]]:
    if not {"reference", "candidate"} <= comparison.draws.keys():
        return []
    a, b = comparison.draws["reference"], comparison.draws["candidate"]
    pairs = []
    for name in a.columns:
        if name not in b.columns:
            continue
        left, right = (np.asarray(frame[name], dtype=float) for frame in (a, b))
        left, right = left[np.isfinite(left)], right[np.isfinite(right)]
        if left.size > 1 and right.size > 1:
            pairs.append((cell(name), left, right))
    return pairs
