"""Sections 1 and 2 of "Multilevel Models with rstanarm" (Lee, Sim, Ji & Rabe-Hesketh, 2018), from Python.

Each step is a function that can be called by itself; :func:`sections_1_2` makes them all and collects every number,
labelled as ``sections_1_2.R`` beside it labels them, and every printed text. :func:`compare_tutorial` diffs
the two, and both against what the tutorial's page printed.
"""

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from examples.tutorial.rframes import r_str, r_summary
from r_scripts.dialect import Dialect
from validation.comparison import TABLE_COLUMNS, Check, Comparison, Side
from validation.references.choose import Source, choose_source
from validation.references.provenance import dialect_of
from validation.verdict import Verdict

if TYPE_CHECKING:
    from plotnine import ggplot

    from validation.report.plots import Plot

__all__ = [
    "EIGHT_SCHOOLS",
    "FORMULAS",
    "Tutorial",
    "compare_tutorial",
    "fit_models",
    "no_pooling",
    "own_regressions",
    "partial_pooling",
    "plot_schools",
    "pooling_lines",
    "prepare",
    "printed_numbers",
    "record",
    "sections_1_2",
    "shrinkage",
]

NAME = "tutorial"
TITLE = "The tutorial, sections 1 and 2"

#: The three models, all fitted by maximum likelihood.
FORMULAS = {
    "M1": "course ~ 1 + (1 | school)",
    "M2": "course ~ 1 + female + (1 | school)",
    "M3": "course ~ 1 + female + (1 + female | school)",
}
FORMULA = "; ".join(FORMULAS.values())

#: The schools that the tutorial plots.
EIGHT_SCHOOLS = ("65385", "68207", "60729", "67051", "50631", "60427", "64321", "68137")

#: The one school with a single student: no regression of its own.
ONE_STUDENT = "84707"

_KEYS = ["quantity", "group", "term", "level"]


@dataclass
class Tutorial:
    """What the sections compute and print.

    Attributes
    ----------
    numbers : pandas.DataFrame
        Columns quantity, group, term, level (str, empty where it does not apply) and value.
    texts : dict of str to str
        What each printing step prints, under the step's R code.
    """

    numbers: pd.DataFrame
    texts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> "Tutorial":
        """From the plain data that R hands back (or a recorded file holds)."""
        numbers = pd.DataFrame({key: [str(item) for item in columns[key]] for key in _KEYS})
        # what the criterion is called since lme4 1.1-37
        numbers["term"] = numbers["term"].replace("-2*log(L)", "deviance")
        values = [np.nan if value is None else float(value) for value in columns["value"]]
        numbers["value"] = np.array(values, dtype=float)
        return cls(numbers, {str(name): str(text) for name, text in columns["texts"].items()})

    def to_columns(self) -> dict[str, Any]:
        """Return the same as plain data; missing values are None."""
        columns: dict[str, Any] = {key: self.numbers[key].tolist() for key in _KEYS}
        columns["value"] = [None if np.isnan(value) else value for value in self.numbers["value"].tolist()]
        return {**columns, "texts": dict(self.texts)}


class _Collector:
    """Collects labelled numbers in R's order."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str, float]] = []
        self.texts: dict[str, str] = {}

    def keep(
        self, quantity: str, group: str, values: Mapping[Any, Any] | pd.Series, *, term: str = "", by: str = "term"
    ) -> None:
        """Keep several numbers; their labels are terms or levels."""
        for label, value in values.items():
            where = (str(label), "") if by == "term" else (term, str(label))
            self.rows.append((quantity, group, *where, float(value)))

    def text(self, name: str, text: str) -> None:
        self.texts[name] = text.rstrip("\n") + "\n"

    def result(self) -> Tutorial:
        return Tutorial(pd.DataFrame(self.rows, columns=[*_KEYS, "value"]), self.texts)


def load_gcsemv(against: str = "live") -> pd.DataFrame:
    """``mlmRev::Gcsemv`` from R, or as recorded."""
    if against == "live":
        from bridge import mlmRev

        return mlmRev.Gcsemv()
    from validation.references.store import load_data

    return load_data("Gcsemv")


# -- 1 Data --------------------------------------------------------------------------------------------------------


def prepare(Gcsemv: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Section 1.1: make male the reference category, and use the coursework paper only.

    Parameters
    ----------
    Gcsemv : pandas.DataFrame
        ``mlmRev::Gcsemv``: school, student, gender (categories), written, course.

    Returns
    -------
    Gcsemv, GCSE : pandas.DataFrame
        With the column ``female``; and its columns school, student, female, course.
    """
    levels = list(Gcsemv["gender"].cat.categories)
    female = Gcsemv["gender"].cat.reorder_categories(["M", *(level for level in levels if level != "M")])
    Gcsemv = Gcsemv.assign(female=female)
    GCSE = Gcsemv[["school", "student", "female", "course"]].copy()
    GCSE.attrs["name"] = "GCSE"  # what a summary prints after "Data:"
    return Gcsemv, GCSE


# -- 2 Models ------------------------------------------------------------------------------------------------------


def fit_models(GCSE: pd.DataFrame, dialect: Dialect | None = None) -> dict[str, Any]:
    """Sections 2.1 to 2.3: Models 1, 2 and 3 by maximum likelihood, fitted by :func:`pyimpl.lmer`.

    Parameters
    ----------
    GCSE : pandas.DataFrame
    dialect : Dialect, optional
        In whose words the models print; the newest where not given.
    """
    from pyimpl import lmer

    return {name: lmer(formula, GCSE, REML=False, dialect=dialect) for name, formula in FORMULAS.items()}


def complete_pooling(GCSE: pd.DataFrame) -> pd.Series:
    """``lm(course ~ female)``: one line for all schools. Index (Intercept), femaleF."""
    return _least_squares("course ~ female", GCSE)


def no_pooling(GCSE: pd.DataFrame) -> pd.Series:
    """``lm(course ~ 0 + school + female)``: an intercept for each school, one slope. Index R's coefficient names."""
    return _least_squares("course ~ 0 + school + female", GCSE)


def partial_pooling(model: Any) -> pd.DataFrame:
    """``coef(model)$school``: the multilevel line of each school, school x coefficient."""
    return model.coef()["school"]


def own_regressions(GCSE: pd.DataFrame, schools: Iterable[str] | None = None) -> pd.DataFrame:
    """No pooling for Model 3: a regression of its own for each school, school x (intercept, slope).

    A coefficient that a school's data cannot tell (all its students of one sex) is missing, as in R.
    """
    chosen = list(schools) if schools is not None else [s for s in GCSE["school"].cat.categories if s != ONE_STUDENT]
    lines = {}
    for school in chosen:
        own = GCSE[(GCSE["school"] == school) & GCSE["course"].notna()]
        lines[school] = _least_squares("course ~ female", own).to_numpy()
    return pd.DataFrame.from_dict(lines, orient="index", columns=["intercept", "slope"])


def shrinkage(GCSE: pd.DataFrame, model: Any) -> pd.DataFrame:
    """Section 2.2: u_EB = R u_ML with R = σ²_school / (σ²_school + σ² / n), for a varying-intercept model.

    Returns
    -------
    pandas.DataFrame
        School x (students used, factor, unshrunken, shrunken).
    """
    from pyimpl.design.design import model_matrix

    used = GCSE.dropna(subset=["course", "female", "school"])
    right = model.formula.partition("~")[2].rpartition("+ (")[0]
    X = model_matrix(f"course ~ {right.strip()}", used)
    rest = used["course"].to_numpy() - X.to_numpy() @ model.fixef().reindex(X.columns).to_numpy()
    by_school = pd.Series(rest).groupby(used["school"].to_numpy(), observed=True)
    n, ml = by_school.size(), by_school.mean()
    components = model.VarCorr()
    school, residual = components["vcov"].to_numpy(dtype=float)[[0, -1]]
    factor = school / (school + residual / n)
    return pd.DataFrame({"students used": n, "factor": factor, "unshrunken": ml, "shrunken": factor * ml})


def _least_squares(formula: str, data: pd.DataFrame) -> pd.Series:
    """``coef(lm(formula, data))``: columns that depend on earlier ones get a missing coefficient."""
    from pyimpl.design.design import model_matrix

    X = model_matrix(formula, data)
    response = formula.partition("~")[0].strip()
    y = data.loc[X.index, response].to_numpy(dtype=float)
    columns = X.to_numpy(dtype=float)
    kept: list[int] = []
    for j in range(columns.shape[1]):
        if np.linalg.matrix_rank(columns[:, [*kept, j]]) > len(kept):
            kept.append(j)
    coefficients = np.full(columns.shape[1], np.nan)
    coefficients[kept] = np.linalg.lstsq(columns[:, kept], y)[0]
    return pd.Series(coefficients, index=X.columns)


# -- Pictures ------------------------------------------------------------------------------------------------------

#: The three estimates: their names, and a line type and a colour (safe for colour-blind readers) for each.
ESTIMATES = {
    "complete pooling": ("solid", "#0072b2"),
    "no pooling": ("dashed", "#c03a1e"),
    "partial pooling": ("dotted", "#6a3d9a"),
}


def pooling_lines(GCSE: pd.DataFrame, model: Any, schools: Sequence[str] = EIGHT_SCHOOLS) -> pd.DataFrame:
    """Return the three lines of each school, for a varying-intercept or a varying-slope model.

    Parameters
    ----------
    GCSE : pandas.DataFrame
    model : LinearMixedFit
        Model 2 or Model 3. Without pooling, schools share a slope beside Model 2 and have their own beside Model 3.
    schools : sequence of str

    Returns
    -------
    pandas.DataFrame
        Columns school (in the data's order of levels), estimate, intercept, slope: three rows for each school.
    """
    pooled = complete_pooling(GCSE)
    partial = partial_pooling(model)
    if "femaleF" in model.ranef()["school"].columns:
        own = own_regressions(GCSE, schools)
    else:
        separate = no_pooling(GCSE)
        own = pd.DataFrame(
            {"intercept": separate.reindex([f"school{s}" for s in schools]).to_numpy()}, index=list(schools)
        )
        own["slope"] = separate.iloc[-1]
    rows = []
    for school in schools:
        for estimate, line in (
            ("complete pooling", pooled),
            ("no pooling", own.loc[school]),
            ("partial pooling", partial.loc[school]),
        ):
            intercept, slope = line.to_numpy(dtype=float).tolist()
            rows.append((school, estimate, intercept, slope))
    lines = pd.DataFrame(rows, columns=["school", "estimate", "intercept", "slope"])
    order = [level for level in GCSE["school"].cat.categories if level in set(schools)]
    lines["school"] = pd.Categorical(lines["school"], categories=order)
    lines["estimate"] = pd.Categorical(lines["estimate"], categories=list(ESTIMATES))
    return lines


def plot_schools(GCSE: pd.DataFrame, model: Any, schools: Sequence[str] = EIGHT_SCHOOLS, seed: int = 1) -> "ggplot":
    """Scores and the three lines of each school, one facet each; the lines differ in type and in colour.

    Parameters
    ----------
    GCSE : pandas.DataFrame
    model : LinearMixedFit
        Model 2 (sections 2.2) or Model 3 (section 2.3).
    schools : sequence of str
    seed : int
        Of the sideways jitter of the points.

    Returns
    -------
    plotnine.ggplot
    """
    import plotnine as p9

    lines = pooling_lines(GCSE, model, schools)
    points = GCSE[GCSE["school"].isin(list(schools)) & GCSE["course"].notna()]
    points = points.assign(
        school=pd.Categorical(points["school"].astype(str), categories=list(lines["school"].cat.categories)),
        x=points["female"].cat.codes.to_numpy(dtype=float),
    )
    return (
        p9.ggplot()
        + p9.geom_jitter(
            points,
            p9.aes("x", "course"),
            color="#1b1e24",
            width=0.07,
            height=0,
            size=1.3,
            alpha=0.45,
            stroke=0,
            random_state=seed,
        )
        + p9.geom_abline(
            lines,
            p9.aes(intercept="intercept", slope="slope", linetype="estimate", color="estimate"),
            size=0.8,
        )
        + p9.facet_wrap("school", ncol=4)
        + p9.scale_linetype_manual(values=[kind for kind, _ in ESTIMATES.values()])
        + p9.scale_color_manual(values=[colour for _, colour in ESTIMATES.values()])
        + p9.scale_x_continuous(breaks=[0, 1], labels=["male", "female"], limits=(-0.35, 1.35))
        + p9.labs(
            title="Complete pooling, no pooling and partial pooling",
            x="",
            y="Total score on coursework paper",
            linetype="",
            color="",
        )
        + p9.theme_bw()
        + p9.theme(
            figure_size=(8.0, 5.0), legend_position="bottom", legend_key_width=42, panel_grid_minor=p9.element_blank()
        )
    )


def pictures(against: str = "live") -> "list[Plot]":
    """Return the tutorial's plots for the report: the eight schools under Model 2 and under Model 3."""
    import plotnine as p9

    from validation.report.plots import INK, RULE, Plot, inline_svg, style

    _, GCSE = prepare(load_gcsemv(against))
    models = fit_models(GCSE)
    plain = p9.element_rect(fill="none")
    page = p9.theme(
        text=p9.element_text(color=INK),
        axis_text=p9.element_text(color=INK),
        axis_ticks=p9.element_line(color=INK),
        panel_border=p9.element_rect(fill="none", color=INK, size=0.5),
        panel_grid_major=p9.element_line(color=RULE, size=0.4),
        panel_background=plain,
        plot_background=p9.element_rect(fill="none", color="none"),
        axis_ticks_minor=p9.element_blank(),
        legend_background=plain,
        legend_key=plain,
        strip_background=p9.element_rect(fill="none", color=INK, size=0.5),
        figure_size=(7.0, 5.2),
        plot_title=p9.element_blank(),
    )
    made = []
    for name in ("M2", "M3"):
        with style():
            figure = (plot_schools(GCSE, models[name]) + page).draw()
            svg = inline_svg(figure, f"tutorial/{name}")
        title = (
            f"Eight schools, Model {name[1]}: complete pooling (solid), no pooling (dashed), partial pooling (dotted)"
        )
        described = "; ".join(
            f"school {school}: "
            + ", ".join(f"{row.estimate} {row.intercept:.1f} + {row.slope:.1f} for girls" for row in part.itertuples())
            for school, part in pooling_lines(GCSE, models[name]).groupby("school", observed=True)
        )
        made.append(Plot(f"schools-{name}", title, f"{title}. Intercept and slope of {described}.", svg))
    return made


# -- All of it -----------------------------------------------------------------------------------------------------


def sections_1_2(Gcsemv: pd.DataFrame, dialect: Dialect | None = None) -> Tutorial:
    """Every step of the two sections, in Python alone.

    Parameters
    ----------
    Gcsemv : pandas.DataFrame
        As :func:`prepare` takes it.
    dialect : Dialect, optional
        The versions of R and lme4 whose texts are printed; the newest where not given.
    """
    from pyimpl.text.numbers import print_data_frame, quantile7

    found = _Collector()
    found.text("summary(Gcsemv)", r_summary(Gcsemv, dialect=dialect))
    Gcsemv, GCSE = prepare(Gcsemv)
    found.keep("count", "data", {"schools": GCSE["school"].nunique(), "students": len(GCSE)})
    for exam in ("written", "course"):
        score = Gcsemv[exam]
        found.keep("count", "missing", {exam: score.isna().sum()})
        quantiles = quantile7(score.dropna().to_numpy())
        found.keep(
            "description", exam, dict(zip(("Min.", "1st Qu.", "Median", "3rd Qu.", "Max."), quantiles, strict=True))
        )
        found.keep("description", exam, {"Mean": score.mean(), "sd": score.std(ddof=1)})
    for factor in ("school", "student", "gender"):
        counts = Gcsemv[factor].value_counts(sort=False).reindex(Gcsemv[factor].cat.categories)
        found.keep("count", factor, counts, term="rows", by="level")
        largest = counts.sort_values(ascending=False).iloc[6:].sum()
        found.keep("count", factor, {"rows of all but the six largest": largest})
    found.text("str(GCSE)", r_str(GCSE))
    found.keep("count", "data", {"variables": GCSE.shape[1]})
    for name in GCSE.columns:
        column = GCSE[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            found.keep("count", str(name), {"levels": len(column.cat.categories)})
            column = column.cat.codes + 1
        found.keep("first rows", str(name), dict(enumerate(column.iloc[:10], start=1)), by="level")

    models = fit_models(GCSE, dialect)
    for name, model in models.items():
        _keep_model(found, name, model)
    found.text("head(ranef(M2)$school)", print_data_frame(models["M2"].ranef()["school"].head(6)))

    schools = [str(level) for level in GCSE["school"].cat.categories]
    found.keep("complete pooling", "", dict(zip(("intercept", "slope"), complete_pooling(GCSE), strict=True)))
    separate = no_pooling(GCSE)
    found.keep("no pooling", "M2", dict(zip(schools, separate.iloc[:-1], strict=True)), term="intercept", by="level")
    found.keep("no pooling", "M2", {"slope": separate.iloc[-1]})
    for name in ("M2", "M3"):
        lines = partial_pooling(models[name])
        found.keep("partial pooling", name, lines.iloc[:, 0], term="intercept", by="level")
        found.keep("partial pooling", name, lines.iloc[:, 1], term="slope", by="level")
    for measure, values in shrinkage(GCSE, models["M2"]).items():
        found.keep("shrinkage", "M2", values, term=str(measure), by="level")
    for coefficient, values in own_regressions(GCSE).items():
        found.keep("no pooling", "M3", values, term=str(coefficient), by="level")
    return found.result()


def _keep_model(found: _Collector, name: str, model: Any) -> None:
    from pyimpl.text.numbers import quantile7

    found.keep(
        "criterion",
        name,
        {
            "AIC": model.AIC(),
            "BIC": model.BIC(),
            "logLik": model.logLik(),
            "deviance": model.deviance(),
            "df.resid": model.df_residual(),
        },
    )
    scaled = quantile7(model.residuals(scaled=True).to_numpy())
    found.keep("scaled residual", name, dict(zip(("Min", "1Q", "Median", "3Q", "Max"), scaled, strict=True)))
    for row in model.VarCorr().itertuples():
        if pd.isna(row.var1):
            found.keep("variance", name, {"Residual": row.vcov})
            found.keep("sd", name, {"Residual": row.sdcor})
        elif pd.isna(row.var2):
            found.keep("variance", name, {row.var1: row.vcov})
            found.keep("sd", name, {row.var1: row.sdcor})
        else:
            found.keep("correlation", name, {f"{row.var1}, {row.var2}": row.sdcor})
    found.keep("count", name, {"rows used": model.nobs(), "schools used": model.ngrps()["school"]})
    table = model.coef_table()
    for quantity, column in (("fixef", "Estimate"), ("se", "Std. Error"), ("t", "t value")):
        found.keep(quantity, name, table[column])
    if len(table) > 1:
        V = model.vcov().to_numpy(dtype=float)
        found.keep("correlation of fixef", name, {"femaleF, (Intercept)": V[1, 0] / np.sqrt(V[0, 0] * V[1, 1])})
    for effect, values in model.ranef()["school"].items():
        found.keep("ranef", name, values, term=str(effect), by="level")
    found.text(f"summary({name})", str(model.summary()))


# -- Against R and against the printed page -------------------------------------------------------------------------


def printed_numbers() -> pd.DataFrame:
    """Every number that the tutorial's sections 1 and 2 print: columns quantity, group, term, level, printed, where.

    ``printed`` is the text as printed: its decimals say how precisely.
    """
    file = resources.files("examples.tutorial") / "data" / "tutorial_printed.csv"
    with file.open(encoding="utf-8") as text:
        return pd.read_csv(text, dtype=str, keep_default_na=False)


def live_reference() -> tuple[Tutorial, Side]:
    """Return the same sections run by R, now."""
    from bridge import session
    from bridge.provenance import r_versions

    with session.Session(scripts=[Path(__file__).parent / "sections_1_2.R"]) as r, session.use(r):
        reply, versions = r.call("tutorial_sections_1_2"), r_versions()
    label = f"lme4 {versions['packages']['lme4']} on R {versions['R']}, live"
    made_with = {**versions, "script": "sections_1_2.R", "platform of Python": platform.platform()}
    return Tutorial.from_columns(reply.value), Side(label, "live-r", made_with)


def recorded_reference(folder: Any = None) -> tuple[Tutorial, Side]:
    """Return the same sections as R ran them when they were recorded.

    Raises
    ------
    LookupError
        Nothing is recorded.
    """
    file = (folder or resources.files("examples.tutorial") / "data") / "tutorial_sections_1_2.json"
    if not file.is_file():
        raise LookupError("the tutorial's sections are not recorded; run `make record CASES=tutorial` where there is R")
    stored = json.loads(file.read_text(encoding="utf-8"))
    side = Side(stored["label"], "recorded-r", stored["provenance"])
    return Tutorial.from_columns(stored["tutorial"]), side


def record(folder: Path | None = None) -> Path:
    """Write down what live R gives for the sections, here or in another folder; returns the file's path."""
    from validation.files import write_atomically

    made, side = live_reference()
    stored = {
        "label": f"recorded {side.label.removesuffix(', live')}",
        "provenance": dict(side.provenance),
        "tutorial": made.to_columns(),
    }
    path = (folder or Path(__file__).parent / "data") / "tutorial_sections_1_2.json"
    write_atomically(path, json.dumps(stored, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    return path


def compare_tutorial(*, against: "str | Source" = "live", progress: Any = None, seed: int | None = None) -> Comparison:
    """Run the sections in Python, and diff them with R's and with the printed page.

    Parameters
    ----------
    against : {"live", "recorded"} or Source
    progress : callable, optional
    seed : int, optional
        Not needed: nothing here is random.
    """
    say = progress or (lambda *report: None)
    kind = choose_source(against).against
    say("R", 0.0)
    reference, side = live_reference() if kind == "live" else recorded_reference()
    say("Python", 0.5)
    mine = sections_1_2(load_gcsemv(kind), dialect_of(side.provenance))
    say("diff", 0.9)
    version = _version()
    return judge(reference, mine, side, Side(f"pyimpl {version}", "python", {"mlmparity": version}))


def _version() -> str:
    try:
        return metadata.version("mlmparity")
    except metadata.PackageNotFoundError:
        return "(source)"


@dataclass(frozen=True)
class _Rule:
    tolerance: float
    unit: str
    reason: str


_EXACT = _Rule(0.0, "exact", "a count")
_ALGEBRA = _Rule(1e-10, "relative", "the same algebra on the same data; double precision carries more")
_CRITERION = _Rule(1e-9, "relative", "flat at its optimum: an early stop changes it by the square of the distance")
_OPTIMUM = _Rule(
    1e-4, "relative", "lme4 with its default optimizer stops 2e-5 to 6e-5 from the optimum of a variance component"
)
_PRINTED = _Rule(0.5, "last digit", "rounds to what the tutorial's page prints")

_RULES = {
    "count": _EXACT,
    "first rows": _EXACT,
    "criterion": _CRITERION,
    "description": _ALGEBRA,
    "complete pooling": _ALGEBRA,
    "no pooling": _ALGEBRA,
}


def judge(reference: Tutorial, mine: Tutorial, reference_side: Side, candidate_side: Side) -> Comparison:
    """Two runs of the sections, compared: every number by its label, every text line by line, both with the page."""
    numbers = _compare_numbers(reference, mine)
    texts = _compare_texts(reference, mine)
    page = [*_compare_printed(mine, "printed"), *_compare_printed(reference, "printed, R")]
    lines = sum(int(np.nan_to_num(row["reference"])) for row in texts)
    same = sum(int(np.nan_to_num(row["candidate"])) for row in texts)
    checks = [
        _check(
            "numbers",
            "Every number that the sections compute",
            numbers,
            f"{_good(numbers):,} of {len(numbers):,} numbers agree with R's",
            "counts exactly, linear regressions to 1e-10, estimates of lme4's default optimizer to 1e-4",
        ),
        _check(
            "texts",
            "Everything that is printed",
            texts,
            f"{same:,} of {lines:,} lines are R's, character for character",
            "printed output is what readers compare",
        ),
        _check(
            "page",
            "The numbers on the tutorial's page",
            page,
            f"{_good(page):,} of {len(page):,} numbers round to what the page prints, from either side",
            "the page is the tutorial's own record",
        ),
    ]
    table = pd.DataFrame([*numbers, *texts, *page], columns=list(TABLE_COLUMNS))
    printed = {
        side: "\n".join(f"> {name}\n{text}" for name, text in run.texts.items())
        for side, run in (("reference", reference), ("candidate", mine))
    }
    return Comparison(
        TITLE, FORMULA, "likelihood", reference_side, candidate_side, tuple(checks), table, printed=printed
    )


def _good(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(not row["verdict"].failed for row in rows)


def _check(name: str, title: str, rows: Sequence[Mapping[str, Any]], summary: str, rule: str) -> Check:
    bad = [row for row in rows if row["verdict"].failed]
    verdict = Verdict.INCONCLUSIVE if not rows else Verdict.DISAGREES if bad else Verdict.AGREES
    return Check(name, title, verdict, summary + (f"; not {_some(bad)}" if bad else ""), rule)


def _some(rows: Sequence[Mapping[str, Any]]) -> str:
    shown = [" ".join(str(row[k]) for k in ("quantity", "group", "term", "level") if row[k]) for row in rows[:3]]
    return ", ".join(shown) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")


def _row(
    check: str, key: Sequence[str], reference: float, candidate: float, rule: _Rule, scale: float
) -> dict[str, Any]:
    quantity, group, term, level = key
    difference = candidate - reference
    missing = np.isnan(reference) != np.isnan(candidate)
    both = np.isnan(reference) and np.isnan(candidate)
    scaled = 0.0 if both or difference == 0 else abs(difference) / scale if scale > 0 else np.inf
    # Half a unit of the last digit is itself a rounded number.
    agrees = scaled <= rule.tolerance * (1 + 1e-9)
    return {
        "check": check,
        "quantity": quantity,
        "group": group or None,
        "term": term or None,
        "term2": None,
        "level": level or None,
        "reference": reference,
        "candidate": candidate,
        "difference": difference,
        "digits": _digits(candidate, reference),
        "scaled": scaled,
        "unit": rule.unit,
        "tolerance": rule.tolerance,
        "verdict": Verdict.MISSING if missing else Verdict.AGREES if agrees else Verdict.DISAGREES,
        "reason": ("one side has no number here" if missing else rule.reason),
    }


def _digits(x: float, c: float) -> float:
    if np.isnan(x) or np.isnan(c):
        return np.nan
    error = abs(x - c) / (abs(c) or 1.0)
    return 15.0 if error == 0 else float(np.clip(-np.log10(error), 0.0, 15.0))


def _indexed(run: Tutorial) -> dict[tuple[str, ...], float]:
    keys = [tuple(key) for key in run.numbers[_KEYS].to_numpy(dtype=str).tolist()]
    found = dict(zip(keys, run.numbers["value"].tolist(), strict=True))
    if len(found) < len(keys):
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the tutorial labels {repeated} more than once")
    return found


def _compare_numbers(reference: Tutorial, mine: Tutorial) -> list[dict[str, Any]]:
    a, b = _indexed(reference), _indexed(mine)
    typical = {
        quantity: float(np.nanmedian(np.abs(part.to_numpy(dtype=float))))
        for quantity, part in reference.numbers.groupby("quantity")["value"]
    }
    rows = []
    for key in dict.fromkeys([*a, *b]):
        x, y = a.get(key, np.nan), b.get(key, np.nan)
        rule = _EXACT if key[2] in ("df.resid", "students used") else _RULES.get(key[0], _OPTIMUM)
        # A number near 0 is compared on the scale of its kind: a BLUP of 0.001 among BLUPs of 9.
        scale = 1.0 if rule is _EXACT else max(abs(x), typical.get(key[0], 0.0) if key[3] else 0.0)
        row = _row("numbers", key, x, y, rule, scale)
        if key not in a or key not in b:
            row["verdict"] = Verdict.MISSING
            row["reason"] = "Python has no such number" if key in a else "R has no such number"
        rows.append(row)
    return rows


def _compare_texts(reference: Tutorial, mine: Tutorial) -> list[dict[str, Any]]:
    rows = []
    for name in dict.fromkeys([*reference.texts, *mine.texts]):
        sides = [run.texts[name].splitlines() if name in run.texts else None for run in (reference, mine)]
        if sides[0] is None or sides[1] is None:
            count = [float(len(side)) if side is not None else np.nan for side in sides]
            rows.append(_row("texts", ("printed lines", "", name, ""), count[0], count[1], _EXACT, 1.0))
            continue
        same = sum(a == b for a, b in zip(sides[0], sides[1], strict=False))
        length = max(len(sides[0]), len(sides[1]))
        rule = _Rule(0.0, "exact", "lines that are the same, of all lines")
        rows.append(_row("texts", ("printed lines", "", name, ""), float(length), float(same), rule, 1.0))
    return rows


def _compare_printed(run: Tutorial, quantity: str) -> list[dict[str, Any]]:
    found = _indexed(run)
    rows = []
    entries = printed_numbers()
    for cells in entries.to_numpy(dtype=str).tolist():
        entry = dict(zip(entries.columns, cells, strict=True))
        key = (entry["quantity"], entry["group"], entry["term"], entry["level"])
        label = (quantity, entry["group"], f"{entry['quantity']} {entry['term']}".strip(), entry["level"])
        shown = entry["printed"]
        where = f"{entry['where']}: {shown}"
        rule = _Rule(_PRINTED.tolerance, _PRINTED.unit, f"{_PRINTED.reason} ({where})")
        value = found.get(key, np.nan)
        if shown == "NA":
            row = _row("page", label, np.nan, value, rule, 1.0)
            row["verdict"] = Verdict.AGREES if key in found and np.isnan(value) else Verdict.DISAGREES
        else:
            decimals = len(shown.partition(".")[2])
            row = _row("page", label, float(shown), value, rule, 10.0**-decimals)
        if key not in found:
            row["verdict"], row["reason"] = Verdict.MISSING, f"not computed ({where})"
        rows.append(row)
    return rows
