"""Make the files that the R scripts of this folder read: data as people have them, of nobody.

``python make_data.py`` writes them anew; the numbers that the tests hold are of these files.
"""

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent


def pupils() -> pd.DataFrame:
    """Pupils within classes within schools: a pretest with holes, two sectors, sexes as words."""
    rng = np.random.default_rng(20)
    rows = []
    for school in range(1, 25):
        sector = "private" if school % 3 == 0 else "state"
        of_school = rng.normal(0, 4)
        for letter in "ABC"[: rng.integers(2, 4)]:
            of_class = rng.normal(0, 3)
            size = rng.choice(["small", "regular"])
            slope = rng.normal(0, 0.08)
            for _ in range(rng.integers(8, 15)):
                sex = rng.choice(["girl", "boy"])
                pretest = rng.normal(50, 10)
                score = 30 + (0.45 + slope) * pretest + 2.5 * (sex == "girl") + 3 * (sector == "private")
                score += 2 * (size == "small") + of_school + of_class + rng.normal(0, 6)
                rows.append((f"s{school:02d}", f"s{school:02d}{letter}", sector, size, sex, pretest, score))
    table = pd.DataFrame(rows, columns=["school", "class", "sector", "class.size", "sex", "pretest", "score"])
    table["pretest"] = table["pretest"].round(1).mask(rng.random(len(table)) < 0.04)
    table["score"] = table["score"].round(1)
    return table


def reading() -> pd.DataFrame:
    """Reading of children in up to six waves, some of which they missed; two programmes."""
    rng = np.random.default_rng(21)
    rows = []
    for child in range(101, 191):
        programme = ["control", "phonics", "tutoring"][child % 3]
        start, growth = rng.multivariate_normal([0, 0], [[36, 3], [3, 2.2]])
        for wave in range(6):
            if rng.random() < 0.12:
                continue
            gain = {"control": 0.0, "phonics": 0.9, "tutoring": 1.6}[programme]
            mean = 42 + start + (5 + gain + growth) * wave - 0.35 * wave**2
            rows.append((child, programme, wave, round(6.5 + 0.5 * wave, 1), round(mean + rng.normal(0, 3), 1)))
    return pd.DataFrame(rows, columns=["child", "programme", "wave", "age", "words"])


def recall() -> pd.DataFrame:
    """Words recalled by each person after three intervals, in two conditions: repeated measures."""
    rng = np.random.default_rng(22)
    rows = []
    for person in range(1, 31):
        group = "old" if person > 14 else "young"
        own, tired = rng.normal(0, 2.5), rng.normal(0, 0.8)
        for j, delay in enumerate(["none", "hour", "day"]):
            for noise in ("quiet", "noisy"):
                mean = 18 - 2.2 * j - 1.5 * (noise == "noisy") - 1.2 * j * (group == "old") + own + tired * j
                rows.append((f"p{person}", group, delay, noise, round(mean + rng.normal(0, 1.5), 2)))
    return pd.DataFrame(rows, columns=["person", "group", "delay", "noise", "recalled"])


def tasting() -> pd.DataFrame:
    """Consumers who rate products, each twice, at two temperatures: crossed effects."""
    rng = np.random.default_rng(29)
    liking = rng.normal(0, 1, (4, 2)).round(1)
    rows = []
    for consumer in range(1, 26):
        own, of_product = rng.normal(0, 1.0), rng.normal(0, 0.8, 4)
        for product in range(4):
            for t, temperature in enumerate(["cold", "warm"]):
                rating = 5 + liking[product, t] + own + of_product[product] + rng.normal(0, 1.1)
                rows.append((consumer, f"prod{product + 1}", temperature, 18 + consumer * 2 % 45, round(rating, 1)))
    return pd.DataFrame(rows, columns=["consumer", "product", "temp", "age", "liking"])


if __name__ == "__main__":
    for make in (pupils, reading, recall, tasting):
        make().to_csv(HERE / f"{make.__name__}.csv", index=False)
