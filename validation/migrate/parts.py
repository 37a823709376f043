"""Parts of things: R's ``$``, ``@``, ``[`` and ``[[`` as Python's."""

from typing import TYPE_CHECKING

from validation.migrate.code import Code, Scope, as_slice, element_of, minus_one, quoted, unmarked
from validation.migrate.rcode import Node

if TYPE_CHECKING:
    from validation.migrate.translate import Translator

__all__ = ["Parts"]

#: What a kept summary has under R's name, and of which kind it is.
_OF_SUMMARY = {
    "coefficients": "frame",
    "sigma": "number",
    "ngrps": "frame",
    "r.squared": "number",
    "adj.r.squared": "number",
    "fstatistic": "series",
}


#: The columns of as.data.frame(VarCorr(m)).
_OF_TABLE = {"grp", "var1", "var2", "vcov", "sdcor"}


class Parts:
    """Translates what is taken out of things."""

    def __init__(self, translator: "Translator") -> None:
        self.t = translator

    def dollar(self, node: Node, scope: Scope) -> Code:
        """An element by name, or a slot."""
        owner, name = node.parts
        if node.text == "$" and name.kind == "name":
            special = self._of_summary(owner, name.text, scope)
            if special is not None:
                return special
        thing = self.t.expression(owner, scope)
        if thing.kind == "emmpair" and name.text in ("emmeans", "emtrends", "contrasts"):
            return Code(f"{thing.inside()}.{'contrasts' if name.text == 'contrasts' else 'emmeans'}", "emmeans")
        if thing.kind == "boot" and name.text == "t0":
            return Code(f'pd.Series({thing.inside()}.attrs["observed"])', "series")
        if thing.kind == "boot" and name.text == "t":
            return self._matrix_of(thing)
        if thing.kind == "loo" and name.text in ("estimates", "pointwise"):
            return Code(f"{thing.inside()}.{name.text}", "frame")
        if thing.kind == "summary" and name.text in _OF_SUMMARY:
            return Code(f"{thing.inside()}.{name.text.replace('.', '_')}", _OF_SUMMARY[name.text])
        if node.text == "@" and thing.kind == "fit" and name.text in ("theta", "beta"):
            return Code(f"{thing.inside()}.getME({quoted(name.text)})", "series")
        if node.text == "@" and thing.kind == "fit" and name.text == "frame":
            return Code(f"{thing.inside()}.model_frame()", "frame")
        if node.text != "$":
            raise self.t.refuse(node, "slots are R's inside")
        return self._element(thing, quoted(name.text), node)

    def _matrix_of(self, thing: Code) -> Code:
        """The numbers of a table, by their places alone."""
        return Code(f"pd.DataFrame({thing.inside()}.to_numpy())", "frame")

    def _of_summary(self, owner: Node, name: str, scope: Scope) -> Code | None:
        """``summary(m)$coefficients`` and its like: what our fits give by a method of their own."""
        if owner.kind != "call" or owner.text != "summary" or len(owner.args) != 1 or owner.args[0].value is None:
            return None
        fit = self.t.expression(owner.args[0].value, scope)
        known = {
            "coefficients": ("coef_table()", "frame"),
            "sigma": ("sigma()", "number"),
            "varcor": ("VarCorr()", "table"),
            "r.squared": ("r_squared", "number"),
            "adj.r.squared": ("adj_r_squared", "number"),
            "fstatistic": ("fstatistic", "series"),
        }
        begun = [one for one in known if one.startswith(name)]  # R's $ takes the beginning of a name
        if fit.kind != "fit" or len(begun) != 1:
            return None
        name = begun[0]
        method, kind = known[name]
        if name == "coefficients" and fit.element not in ("lm", "lmList", "stan_lmer"):
            method = self.t.calls.table_of(fit)
        return Code(f"{fit.inside()}.{method}", kind)

    def _element(self, thing: Code, key: str, node: Node) -> Code:
        if thing.kind == "frames":
            return Code(f"{thing.inside()}[{key}]", "frame")
        if thing.kind == "table" and key.strip('"') not in _OF_TABLE:  # VarCorr(m)$g: a matrix
            return Code(f"{thing.inside()}[{key}]", "frame")
        if thing.kind in ("frame", "table", "data"):
            return Code(f"{thing.inside()}[{key}]", "series", True, "column")
        if thing.kind == "dict":
            return element_of(f"{thing.inside()}[{key}]", thing.element)
        if thing.kind == "series":
            return Code(f"{thing.inside()}[{key}]", "any" if thing.element == "column" else "number")
        raise self.t.refuse(node, f"an element of something that is not known to have elements ({thing.kind})")

    def index(self, node: Node, scope: Scope) -> Code:
        """Elements, rows or columns by ``[`` or ``[[``."""
        thing = self.t.expression(node.parts[0], scope)
        if "of a data.table" in self.t.functions and node.text == "[" and thing.kind in ("frame", "data", "table"):
            placed = Scope(
                {
                    "\0table": Code(
                        thing.text, "frame" if thing.kind == "table" else thing.kind, thing.atom, thing.element
                    )
                },
                scope,
            )
            made = self.t.functions["of a data.table"](self.t, node, placed)
            if made.kind != "no data.table":
                return made
        keys = [argument.value for argument in node.args if argument.name not in ("drop", "exact")]
        if (
            thing.kind == "variances"
            and len(keys) == 3
            and keys[2] is None
            and keys[0] is not None
            and keys[1] is not None
        ):
            first, second = (minus_one(self.t.expression(key, scope)) for key in keys[:2] if key is not None)
            return Code(f"{thing.inside()}[:, {first}, {second}].to_numpy()", "vector", True, "number")
        if node.text == "[[":
            if len(keys) != 1 or keys[0] is None:
                raise self.t.refuse(node, "an element by two indices")
            key = self.t.expression(keys[0], scope)
            if key.kind == "string" or (key.kind == "any" and thing.kind in ("dict", "frames")):
                return self._element(thing, key.text, node)
            if thing.kind in ("list", "vector", "strings"):
                return element_of(f"{thing.inside()}[{minus_one(key)}]", thing.element)
            if thing.kind == "numbered":
                return element_of(f"{thing.inside()}[{key.text}]", thing.element)
            if thing.kind == "dict":
                return element_of(f"list({thing.text}.values())[{minus_one(key)}]", thing.element)
            if thing.kind == "frames":
                return Code(f"list({thing.text}.values())[{minus_one(key)}]", "frame")
            if thing.kind in ("frame", "data", "table") and key.kind in ("number", "positions"):
                return Code(f"{thing.inside()}.iloc[:, {minus_one(key)}]", "series", True, "column")
            if thing.kind == "series":
                return Code(f"{thing.inside()}.iloc[{minus_one(key)}]", "number")
            raise self.t.refuse(node, f"an element of something that is not known to have elements ({thing.kind})")
        if thing.kind in ("frame", "table", "data") and len(keys) == 2:
            return self._cells(thing, keys, node, scope)
        if len(keys) != 1 or keys[0] is None:
            raise self.t.refuse(node, "indices of a kind that is not carried over")
        return self._slice(thing, keys[0], node, scope)

    def _cells(self, thing: Code, keys: "list[Node | None]", node: Node, scope: Scope) -> Code:
        parts, texts, single = [], 0, 0
        without = [key is not None and self._is_without(key) for key in keys]
        if any(without):
            for k, key in enumerate(keys):
                if key is not None and without[k]:
                    thing = self._without(thing, key, scope, columns=k == 1)
            keys = [None if without[k] else key for k, key in enumerate(keys)]
            if keys == [None, None]:
                return thing
        for key in keys:
            if key is None:
                parts.append((":", ""))
                continue
            made = self.t.expression(key, scope)
            single += made.kind in ("number", "string")
            if made.kind in ("string", "strings"):
                texts += 1
                parts.append((made.text, "loc"))
            elif made.kind == "number":
                parts.append((minus_one(made), "iloc"))
            elif made.kind == "range":
                parts.append((as_slice(made.text), "iloc"))
            elif made.kind == "positions":
                parts.append((minus_one(made), "iloc"))
            elif made.kind in ("series", "vector"):
                parts.append((made.text, "loc"))
            else:
                raise self.t.refuse(node, "indices of a kind that is not carried over")
        ways = {way for _, way in parts if way}
        if len(ways) == 2:  # a row by name and a column by number, or the other way round
            (row, row_way), (column, column_way) = parts
            first = next(key for key in keys if key is not None)
            one_row = self.t.expression(first, scope).kind in ("number", "string")
            kind = {2: "number", 1: "series", 0: thing.kind}[single]
            columns = column if one_row else f":, {column}"
            return Code(f"{thing.inside()}.{row_way}[{row}].{column_way}[{columns}]", kind)
        way = ways.pop() if ways else "iloc"
        kind = {2: "number", 1: "series", 0: thing.kind}[single]
        return Code(f"{thing.inside()}.{way}[{parts[0][0]}, {parts[1][0]}]", kind)

    @staticmethod
    def _is_without(key: Node) -> bool:
        """``-1``, ``-c(1, 2)``, ``-(1:3)``, ``-which(x)``: what is left out, by its places."""
        return key.kind == "unary" and key.text == "-"

    def _without(self, thing: Code, key: Node, scope: Scope, columns: bool = False) -> Code:
        """A thing without the elements, rows or columns at some places."""
        inner = key.parts[0]
        while inner.kind == "paren":
            inner = inner.parts[0]
        made, text = self.t.expression(inner, scope), thing.inside()
        labelled = thing.kind in ("series", "frame", "data", "table")
        kept = (thing.kind, True, thing.element)
        if made.text == f"len({unmarked(thing.text)})":
            return Code(f"{text}{'.iloc' if labelled else ''}[:-1]", *kept)
        first = as_slice(made.text) if made.kind == "range" else ""
        first = "0:1" if made.text == "1" else first
        if first.startswith("0:") and not columns:
            return Code(f"{text}{'.iloc' if labelled else ''}[{first[2:]}:]", *kept)
        if first.startswith("0:"):
            return Code(f"{text}.iloc[:, {first[2:]}:]", *kept)
        if made.kind not in ("number", "range", "vector", "positions"):
            raise self.t.refuse(key, "places to leave out that are not known to be numbers")
        places = f"[{minus_one(made)}]" if made.kind == "number" else minus_one(made)
        places = f"np.arange({first.replace(':', ', ')})" if first else places
        places = f"np.array({made.text}) - 1" if made.kind == "vector" else places
        if columns:
            return Code(f"{text}.drop(columns={unmarked(text)}.columns[{places}])", *kept)
        if labelled:
            return Code(f"{text}.drop({unmarked(text)}.index[{places}])", *kept)
        listed = f"np.delete({thing.text}, {places})"
        if thing.kind in ("strings", "list"):
            return Code(f"list({listed})", *kept)
        return Code(listed, "vector", True, thing.element)

    def _slice(self, thing: Code, key: Node, node: Node, scope: Scope) -> Code:
        if self._is_without(key) and thing.kind not in ("dict", "frames", "numbered"):
            return self._without(thing, key, scope, columns=thing.kind in ("frame", "data", "table"))
        made = self.t.expression(key, scope)
        text = thing.inside()
        if thing.kind in ("frames", "dict") and made.kind in ("string", "strings"):
            names = made.text if made.kind == "strings" else f"[{made.text}]"
            part = "{" + f"name: {unmarked(text)}[name] for name in {names}" + "}"
            return Code(part, "dict", True, "frame" if thing.kind == "frames" else thing.element)
        if thing.kind == "dict" and made.kind in ("range", "number"):
            where = as_slice(made.text) if made.kind == "range" else f"{minus_one(made)}:{made.text}"
            return Code(f"dict(list({text}.items())[{where}])", "dict", True, thing.element)
        if thing.kind in ("frame", "data", "table"):
            if made.kind in ("string", "strings"):
                listed = made.text if made.kind == "strings" else f"[{made.text}]"
                return Code(f"{text}[{listed}]", thing.kind)
            if thing.kind == "frame" and made.kind == "number":  # of a matrix: R counts down the columns
                return Code(f'{text}.to_numpy().ravel(order="F")[{minus_one(made)}]', "number")
            raise self.t.refuse(node, "columns by number")
        if made.kind == "positions" and thing.kind in ("strings", "list"):
            return Code(f"list(np.array({text})[{minus_one(made)}])", thing.kind, True, thing.element)
        if made.kind == "positions":
            where = ".iloc" if thing.kind == "series" else ""
            return Code(f"{text}{where}[{minus_one(made)}]", thing.kind, True, thing.element)
        if made.kind == "string":
            return Code(f"{text}[{made.text}]", "number")
        if thing.kind in ("strings", "list") and made.kind in ("series", "vector") and key.kind != "call":
            return Code(f"list(np.array({text})[np.asarray({made.text})])", thing.kind, True, thing.element)
        if made.kind == "series" and thing.element == "column":  # R's has no names that arithmetic could go by
            return Code(f"{text}[{made.text}].to_numpy()", "vector", True, "any")
        if made.kind in ("strings", "series"):
            return Code(f"{text}[{made.text}]", thing.kind)
        at = ".iloc" if thing.kind == "series" else ""
        if made.kind == "number":
            single = thing.element if thing.kind != "series" else "any" if thing.element == "column" else "number"
            return Code(f"{text}{at}[{minus_one(made)}]", single)
        if made.kind == "range":
            return Code(f"{text}{at}[{as_slice(made.text)}]", thing.kind, True, thing.element)
        if made.kind == "vector":
            return Code(f"{text}{at}[{made.text}]", thing.kind)
        raise self.t.refuse(node, "indices of a kind that is not carried over")
