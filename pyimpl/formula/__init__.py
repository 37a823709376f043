"""R's formulas as data: parse, terms, random-effects bars, update."""
