"""Data of the shapes that real work has: simulated, with fixed seeds."""

from collections.abc import Callable

import numpy as np
import pandas as pd

__all__ = ["SHAPES"]


def _levels(prefix: str, codes: np.ndarray | list[int] | pd.Series) -> pd.Categorical:
    return pd.Categorical([f"{prefix}{code}" for code in codes])


def value_added(seed: int = 1, schools: int = 80, students: int = 145, grades: int = 4) -> pd.DataFrame:
    """Pupils' yearly tests: students x teachers x schools, a few of them changing school; some 24 000 rows."""
    rng = np.random.default_rng(seed)
    of_school = rng.normal(0, 8, schools)
    of_teacher: list[float] = []
    rows: list[tuple[int, int, int, int, int, float]] = []
    student = 0
    for school in range(schools):
        teachers: list[list[int]] = []
        for _ in range(grades):
            teachers.append([])
            for _ in range(int(rng.integers(3, 6))):
                teachers[-1].append(len(of_teacher))
                of_teacher.append(float(rng.normal(0, 9)))
        for _ in range(students):
            ability, poor = rng.normal(0, 25), int(rng.random() < 0.4)
            first, last = sorted(rng.integers(0, grades, 2))
            here = school
            for grade in range(first, last + 1):
                if rng.random() < 0.04:
                    here = int(rng.integers(schools))
                if here != school:
                    continue
                teacher = teachers[grade][int(rng.integers(len(teachers[grade])))]
                mean = 500 + 20 * grade - 10 * poor + of_school[school] + of_teacher[teacher] + ability
                rows.append((student, teacher, school, grade, poor, mean + rng.normal(0, 18)))
            student += 1
    data = pd.DataFrame(rows, columns=["id", "tch", "sch", "grade", "ses", "math"])
    for column, prefix in (("id", "p"), ("tch", "t"), ("sch", "s"), ("grade", "g")):
        data[column] = _levels(prefix, data[column])
    return data


def ratings(seed: int = 2, users: int = 943, items: int = 1682, draws: int = 100_000) -> pd.DataFrame:
    """Users x items with long tails; some 67 000 rows."""
    rng = np.random.default_rng(seed)
    active, popular = rng.pareto(1.2, users) + 0.3, rng.pareto(1.0, items) + 0.1
    user = rng.choice(users, 2 * draws, p=active / active.sum())
    item = rng.choice(items, 2 * draws, p=popular / popular.sum())
    data = pd.DataFrame({"u": user, "i": item}).drop_duplicates().head(draws)
    data["y"] = (
        3.5
        + rng.normal(0, 0.45, users)[data["u"]]
        + rng.normal(0, 0.6, items)[data["i"]]
        + rng.normal(0, 0.9, len(data))
    )
    return data.assign(u=_levels("u", data["u"]), i=_levels("i", data["i"]))


def maximal(seed: int = 3, subjects: int = 56, items: int = 32) -> pd.DataFrame:
    """Reaction times in a design of 2 x 2 x 2, all effects random by subject and by item."""
    rng = np.random.default_rng(seed)
    subject, item = np.repeat(np.arange(subjects), items), np.tile(np.arange(items), subjects)
    cell = (subject + item) % 8
    a, b, c = ((cell >> bit & 1) * 2 - 1.0 for bit in range(3))
    X = np.column_stack([np.ones(cell.size), a, b, c])
    by_subject = rng.normal(size=(subjects, 4)) * [300, 60, 40, 90]
    by_item = rng.normal(size=(items, 4)) * [350, 30, 280, 40]
    time = 2200 + 60 * a - 330 * b + 80 * c + (X * by_subject[subject]).sum(1) + (X * by_item[item]).sum(1)
    time += rng.normal(0, 650, cell.size)
    return pd.DataFrame(
        {"subj": _levels("s", subject), "item": _levels("i", item), "spkr": a, "prec": b, "load": c, "rt": time}
    )


def growth(seed: int = 4, schools: int = 500, students: int = 40, times: int = 5) -> pd.DataFrame:
    """Growth curves with slopes at students and schools; some 90 000 rows."""
    rng = np.random.default_rng(seed)
    school = np.repeat(np.arange(schools), students * times)
    student = np.repeat(np.arange(schools * students), times)
    time = np.tile(np.arange(times), schools * students).astype(float)
    y = (
        50
        + 3 * time
        + rng.normal(0, 5, schools)[school]
        + rng.normal(0, 1, schools)[school] * time
        + rng.normal(0, 8, schools * students)[student]
        + rng.normal(0, 1.5, schools * students)[student] * time
        + rng.normal(0, 4, time.size)
    )
    kept = rng.random(time.size) < 0.9
    data = pd.DataFrame({"school": school, "student": student, "time": time, "y": y})[kept]
    return data.assign(school=_levels("s", data["school"]), student=_levels("p", data["student"]))


def items(seed: int = 5, students: int = 2000, tasks: int = 60) -> pd.DataFrame:
    """Items x students x classes; some 114 000 rows."""
    rng = np.random.default_rng(seed)
    student, item = np.repeat(np.arange(students), tasks), np.tile(np.arange(tasks), students)
    klass = student // 25
    y = (
        rng.normal(0, 1, students)[student]
        + rng.normal(0, 0.8, tasks)[item]
        + rng.normal(0, 0.5, klass.max() + 1)[klass]
        + rng.normal(0, 1.2, student.size)
    )
    kept = rng.random(student.size) < 0.95
    data = pd.DataFrame({"student": student, "item": item, "klass": klass, "y": y})[kept]
    return data.assign(
        student=_levels("p", data["student"]), item=_levels("i", data["item"]), klass=_levels("c", data["klass"])
    )


def raters(seed: int = 6, rows: int = 6000) -> pd.DataFrame:
    """Raters, students, tasks and schools, all crossed, and a slope by rater."""
    rng = np.random.default_rng(seed)
    rater, student, task, school = (rng.integers(0, count, rows) for count in (120, 800, 30, 50))
    x = rng.normal(size=rows)
    y = (
        x
        + rng.normal(0, 0.5, 120)[rater]
        + rng.normal(0, 1, 800)[student]
        + rng.normal(0, 0.3, 30)[task]
        + rng.normal(0, 0.4, 50)[school]
        + rng.normal(0, 1, rows)
        + rng.normal(0, 0.3, 120)[rater] * x
    )
    return pd.DataFrame(
        {
            "rater": _levels("r", rater),
            "student": _levels("p", student),
            "task": _levels("k", task),
            "school": _levels("s", school),
            "x": x,
            "y": y,
        }
    )


def random_crossed(seed: int = 7, levels: int = 2500, rows: int = 25_000) -> pd.DataFrame:
    """Two factors crossed at random, the hardest pattern: the Schur complement fills up."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, levels, rows), rng.integers(0, levels, rows)
    y = rng.normal(size=levels)[a] + rng.normal(size=levels)[b] + rng.normal(size=rows)
    return pd.DataFrame({"a": _levels("a", a), "b": _levels("b", b), "y": y})


def many_levels(seed: int = 8, levels: int = 100_000, rows: int = 300_000) -> pd.DataFrame:
    """A hundred thousand levels with slopes, three rows each."""
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, levels, rows), rng.normal(size=rows)
    y = 1 + x + rng.normal(size=levels)[g] + 0.3 * rng.normal(size=levels)[g] * x + rng.normal(size=rows)
    return pd.DataFrame({"g": _levels("g", g), "x": x, "y": y})


def long(seed: int = 9, levels: int = 1000, rows: int = 1_000_000) -> pd.DataFrame:
    """A million rows of one factor: what is done once for each row is all there is."""
    rng = np.random.default_rng(seed)
    g, x, z = rng.integers(0, levels, rows), rng.normal(size=rows), rng.normal(size=rows)
    return pd.DataFrame(
        {"g": _levels("g", g), "x": x, "z": z, "y": x + rng.normal(size=levels)[g] + rng.normal(size=rows)}
    )


def quadratic(seed: int = 10, levels: int = 5000, times: int = 6) -> pd.DataFrame:
    """Quadratic growth: three correlated effects of each of 5000 levels."""
    rng = np.random.default_rng(seed)
    i, t = np.repeat(np.arange(levels), times), np.tile(np.arange(times) / 2 - 1, levels)
    b = rng.normal(size=(levels, 3))[i]
    y = b[:, 0] + b[:, 1] * t + 0.3 * b[:, 2] * t**2 + rng.normal(size=i.size)
    return pd.DataFrame({"i": _levels("i", i), "t": t, "t2": t**2, "y": y})


def wide(seed: int = 11, columns: int = 100, levels: int = 400, rows: int = 20_000) -> pd.DataFrame:
    """A hundred fixed effects."""
    rng = np.random.default_rng(seed)
    X, g = rng.normal(size=(rows, columns)), rng.integers(0, levels, rows)
    data = pd.DataFrame(X, columns=[f"w{k}" for k in range(columns)])
    return data.assign(g=_levels("g", g), y=X[:, 0] + rng.normal(size=levels)[g] + rng.normal(size=rows))


#: Name -> formula and data.
SHAPES: dict[str, tuple[str, Callable[[], pd.DataFrame]]] = {
    "value-added": ("math ~ grade + ses + (1 | id) + (1 | tch) + (1 | sch)", value_added),
    "random-crossed": ("y ~ 1 + (1 | a) + (1 | b)", random_crossed),
    "items": ("y ~ 1 + (1 | student) + (1 | item) + (1 | klass)", items),
    "many-levels": ("y ~ x + (x | g)", many_levels),
    "ratings": ("y ~ 1 + (1 | u) + (1 | i)", ratings),
    "maximal": (
        "rt ~ 1 + spkr + prec + load + (1 + spkr + prec + load | subj) + (1 + spkr + prec + load | item)",
        maximal,
    ),
    "growth": ("y ~ time + (time | school) + (time | student)", growth),
    "raters": ("y ~ x + (x | rater) + (1 | student) + (1 | task) + (1 | school)", raters),
    "long": ("y ~ x + z + (1 | g)", long),
    "quadratic": ("y ~ t + t2 + (t + t2 | i)", quadratic),
    "wide": ("y ~ " + " + ".join(f"w{k}" for k in range(100)) + " + (1 | g)", wide),
}
