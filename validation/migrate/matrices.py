"""R's words for matrices: products, inverses, parts."""

from validation.migrate.code import Code, Scope, unmarked
from validation.migrate.makers import maker, only, values_of
from validation.migrate.rcode import Node
from validation.migrate.translate import Translator

__all__: list[str] = []


@maker("t", takes="x")
def _transposed(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind == "frame" and made.text.endswith(".T"):
        return Code(made.text.removesuffix(".T"), made.kind)
    if made.kind in ("frame", "sparse"):
        return Code(f"{made.inside()}.T", made.kind)
    if made.kind in ("series", "vector"):  # in a product a vector is a row or a column, as is needed
        return made
    raise t.refuse(node, "t() of something that is no matrix")


@maker("solve", takes="a b")
def _solved(t: Translator, node: Node, scope: Scope) -> Code:
    """``solve(A)``, with its names the other way round; ``solve(A, b)``."""
    made = [t.expression(value, scope) for value in values_of(node)]
    if not made or made[0].kind not in ("frame", "vector") or len(made) > 2:
        raise t.refuse(node, "solve() of something that is no matrix")
    matrix = made[0]
    again = unmarked(matrix.inside())
    if len(made) == 2:
        solved = f"np.linalg.solve({matrix.text}, {made[1].text})"
        if made[1].kind == "frame" or matrix.kind != "frame":
            return Code(solved, "vector")
        return Code(f"pd.Series({solved}, index={again}.columns)", "series")
    if matrix.kind == "vector":
        return Code(f"np.linalg.inv({matrix.text})", "vector")
    names = f"index={again}.columns, columns={again}.index"
    return Code(f"pd.DataFrame(np.linalg.inv({matrix.text}), {names})", "frame")


@maker("as.matrix", takes="x")
def _matrix(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind in ("frame", "table"):
        return Code(made.text, "frame", made.atom)
    if made.kind == "sparse":
        return Code(f"pd.DataFrame({made.inside()}.toarray())", "frame")
    raise t.refuse(node, "as.matrix() of something that is no table")


@maker("diag", takes="x nrow")
def _diagonal(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind == "number":
        return Code(f"pd.DataFrame(np.eye({made.text}))", "frame")
    if made.kind in ("vector", "series"):
        return Code(f"np.diag({made.text})", "vector")
    if made.kind != "frame":
        raise t.refuse(node, "diag() of something that is no matrix")
    if not made.atom:
        return Code(f"np.diag({made.text})", "vector", True, "number")
    return Code(f"pd.Series(np.diag({made.text}), index={unmarked(made.inside())}.index)", "series")


@maker("outer", takes="X Y")
def _outer(t: Translator, node: Node, scope: Scope) -> Code:
    made = [t.expression(value, scope) for value in values_of(node)]
    if len(made) != 2 or any(one.kind not in ("vector", "series", "range") for one in made):
        raise t.refuse(node, "outer() of things that are no vectors, or by a function of its own")
    a, b = made
    labels = f", index={unmarked(a.inside())}.index" if a.kind == "series" and a.element != "column" else ""
    labels += f", columns={unmarked(b.inside())}.index" if b.kind == "series" and b.element != "column" else ""
    return Code(f"pd.DataFrame(np.outer({a.text}, {b.text}){labels})", "frame")


@maker("model.matrix", takes="object data")
def _design(t: Translator, node: Node, scope: Scope) -> Code:
    """``model.matrix(~ x, data)``; of a fit it is a verb."""
    values = [argument.value for argument in node.args if argument.value is not None]
    parts = [t.expression(value, scope) for value in values]
    if len(parts) != 2 or parts[0].kind != "formula" or parts[1].kind not in ("data", "frame"):
        raise t.refuse(node, "model.matrix() of this kind")
    return Code(f"{t.imported('model_matrix')}({parts[0].text}, {parts[1].text})", "frame")
