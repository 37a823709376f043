"""How R writes: numbers, names and strings as its printed output has them."""
