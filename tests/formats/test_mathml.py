"""MathML to expressions and back: every operator against its value."""

import math
from xml.etree.ElementTree import tostring

import numpy as np
import pytest

pytest.importorskip("libsbml")

import libsbml

from tests.formats.sbml_text import math as to_math
from tumble._errors import ModelError
from tumble._expressions import ARITIES, parse
from tumble.formats._mathml_read import FunctionDefinition, MathReader
from tumble.formats._mathml_write import MathWriter

VALUES = {"x": 1.7, "y": 0.4, "n": 5.0, "time": 2.5, "pi": math.pi, "e": math.e}
X, Y, N = "<ci>x</ci>", "<ci>y</ci>", "<ci>n</ci>"
MINUS_FIVE = '<cn type="integer">-5</cn>'
TWO = '<cn type="integer">2</cn>'
AVOGADRO = "http://www.sbml.org/sbml/symbols/avogadro"
TIME = "http://www.sbml.org/sbml/symbols/time"


def read(inside):
    node = libsbml.readMathMLFromString(to_math(inside))
    return MathReader().read(node, "the formula")


def apply(operator, *arguments):
    return f"<apply><{operator}/>{''.join(arguments)}</apply>"


@pytest.mark.parametrize(
    ("mathml", "value"),
    [
        ('<cn type="integer">7</cn>', 7),
        ("<cn>0.1</cn>", 0.1),
        ('<cn type="e-notation">2.5<sep/>-3</cn>', 2.5e-3),
        ('<cn type="rational">1<sep/>3</cn>', 1 / 3),
        ("<pi/>", math.pi),
        ("<exponentiale/>", math.e),
        ("<true/>", 1),
        ("<false/>", 0),
        (f'<csymbol encoding="text" definitionURL="{AVOGADRO}">N</csymbol>', 6.02214179e23),
        (f'<csymbol encoding="text" definitionURL="{TIME}">x</csymbol>', 2.5),
        (apply("plus"), 0),
        (apply("plus", X), 1.7),
        (apply("plus", X, Y, N), 7.1),
        (apply("times"), 1),
        (apply("times", X, Y, N), 3.4),
        (apply("minus", X), -1.7),
        (apply("minus", X, Y), 1.3),
        (apply("divide", X, Y), 4.25),
        (apply("power", X, Y), 1.7**0.4),
        (apply("root", X), math.sqrt(1.7)),
        (apply("root", f"<degree>{N}</degree>", X), 1.7**0.2),
        (apply("exp", X), math.exp(1.7)),
        (apply("ln", X), math.log(1.7)),
        (apply("log", X), math.log10(1.7)),
        (apply("log", f"<logbase>{TWO}</logbase>", X), math.log2(1.7)),
        (apply("log", f"<logbase>{N}</logbase>", X), math.log(1.7, 5)),
        (apply("abs", MINUS_FIVE), 5),
        (apply("floor", X), 1),
        (apply("ceiling", X), 2),
        (apply("factorial", N), 120),
        (apply("max", X, Y, N), 5),
        (apply("min", X, Y, N), 0.4),
        (apply("quotient", MINUS_FIVE, TWO), -2),
        (apply("quotient", N, TWO), 2),
        (apply("rem", MINUS_FIVE, TWO), -1),
        (apply("rem", N, TWO), 1),
        (apply("lt", Y, X), 1),
        (apply("lt", Y, X, N), 1),
        (apply("lt", Y, N, X), 0),
        (apply("leq", X, X), 1),
        (apply("gt", X, Y), 1),
        (apply("geq", X, N), 0),
        (apply("eq", X, X, X), 1),
        (apply("neq", X, Y), 1),
        (apply("and"), 1),
        (apply("or"), 0),
        (apply("and", "<true/>", "<false/>", "<true/>"), 0),
        (apply("or", "<false/>", "<true/>"), 1),
        (apply("xor"), 0),
        (apply("xor", "<true/>", "<true/>", "<true/>"), 1),
        (apply("xor", X, "<true/>"), 0),
        (apply("not", "<true/>"), 0),
        (apply("implies", "<true/>", "<false/>"), 0),
        (apply("implies", "<false/>", "<false/>"), 1),
        ("<piecewise><otherwise><cn>3</cn></otherwise></piecewise>", 3),
        (
            f"<piecewise><piece>{X}{apply('gt', Y, X)}</piece><piece>{Y}{apply('lt', Y, X)}</piece>"
            f"<otherwise>{N}</otherwise></piecewise>",
            0.4,
        ),
        *((apply(f, Y), getattr(math, f)(0.4)) for f in ("sin", "cos", "tan")),
        *((apply(f, Y), getattr(math, f)(0.4)) for f in ("sinh", "cosh", "tanh")),
        *((apply(f"arc{f}", Y), getattr(math, f"a{f}")(0.4)) for f in ("sin", "cos", "tan")),
        (apply("sec", X), 1 / math.cos(1.7)),
        (apply("csc", X), 1 / math.sin(1.7)),
        (apply("cot", X), 1 / math.tan(1.7)),
        (apply("sech", X), 1 / math.cosh(1.7)),
        (apply("csch", X), 1 / math.sinh(1.7)),
        (apply("coth", X), 1 / math.tanh(1.7)),
        (apply("arcsec", X), math.acos(1 / 1.7)),
        (apply("arccsc", X), math.asin(1 / 1.7)),
        (apply("arccot", X), math.atan(1 / 1.7)),
        (apply("arcsinh", X), math.asinh(1.7)),
        (apply("arccosh", X), math.acosh(1.7)),
        (apply("arctanh", Y), math.atanh(0.4)),
        (apply("arcsech", Y), math.acosh(1 / 0.4)),
        (apply("arccsch", X), math.asinh(1 / 1.7)),
        (apply("arccoth", X), math.atanh(1 / 1.7)),
    ],
)  # fmt: skip
def test_each_operator_has_its_value(mathml, value):
    assert float(read(mathml)(VALUES)) == pytest.approx(value, rel=1e-14, abs=1e-14)


DELAY = "http://www.sbml.org/sbml/symbols/delay"
RATE = "http://www.sbml.org/sbml/symbols/rateOf"


@pytest.mark.parametrize(
    ("mathml", "words"),
    [
        (
            f'<apply><csymbol encoding="text" definitionURL="{DELAY}">d</csymbol>{X}{Y}</apply>',
            "the formula uses the csymbol 'delay', which is not supported",
        ),
        (
            f'<apply><csymbol encoding="text" definitionURL="{RATE}">r</csymbol>{X}</apply>',
            "the formula uses the csymbol 'rateOf', which is not supported",
        ),
        ("<infinity/>", "the formula holds the number inf, expected a finite one"),
        ("<notanumber/>", "the formula holds the number nan, expected a finite one"),
        (f"<apply><ci>f</ci>{X}</apply>", "the formula calls 'f', which the model does not define"),
        (apply("divide", X), "MathML 'divide' has 1 argument(s), expected 2"),
        (
            f"<piecewise><piece>{X}<true/></piece></piecewise>",
            "the formula has a piecewise without 'otherwise'",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(mathml, words):
    with pytest.raises(ModelError) as caught:
        read(mathml)
    assert words in str(caught.value)


def test_deep_formulas_are_refused_and_long_ones_are_read():
    deep = X
    for _ in range(170):
        deep = apply("minus", deep)
    with pytest.raises(ModelError, match="the formula nests more than 150 deep; split it up"):
        read(deep)
    assert read(apply("plus", *[X] * 3000))({"x": 1.0}) == 3000


def test_functions_are_written_out_and_their_arguments_are_their_own():
    def body(text):
        return libsbml.parseL3Formula(text)

    functions = {
        "twice": FunctionDefinition(("x",), body("2 * x")),
        "both": FunctionDefinition(("x", "y"), body("twice(x) + twice(y) * x")),
        "circle": FunctionDefinition(("x",), body("circle(x)")),
    }
    reader = MathReader(functions)
    found = reader.read(body("both(y, x) + x"), "the formula")
    assert float(found(VALUES)) == pytest.approx(2 * 0.4 + 2 * 1.7 * 0.4 + 1.7)
    with pytest.raises(ModelError, match="function 'circle' calls the function 'circle', which"):
        reader.read(body("circle(x)"), "the formula")
    with pytest.raises(ModelError, match=r"calls 'twice' with 2 argument\(s\), expected 1"):
        reader.read(body("twice(x, y)"), "the formula")


FORMULAS = [
    "x + y - n * x / y",
    "-x ^ 2",
    "x ^ -y",
    "0.1 + 1e-30 * x + 2.5e+20 * y + 123456789.123456789",
    "where(x > 1 and not (y > 1 or n == 5), x, y)",
    "(x > 1) * 2 + (x and y)",
    "where(x, y, n)",
    "sign(x - 2) + abs(x - 2) + sqrt(x) + log(x) + log10(x) + log2(x) + exp(x)",
    "floor(x) + ceil(x) + factorial(n) + min(x, y, n) + max(x, y, n)",
    "sin(x) + cos(x) + tan(x) + asin(y) + acos(y) + atan(x) + sinh(x) + cosh(x) + tanh(x)",
    "piecewise(1, x < 0, 2, x < 1, 3)",
    "time * pi / e",
    "x <= y and x >= y and x != y",
    " + ".join(["n"] * 3000),
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_what_is_written_reads_back_with_the_same_value(formula):
    expression = parse(formula) if len(formula) < 1000 else _sum(3000)
    text = tostring(MathWriter(frozenset("xyn")).number(expression), encoding="unicode")
    back = MathReader().read(libsbml.readMathMLFromString(text), "the formula")
    assert float(back(VALUES)) == pytest.approx(float(expression(VALUES)), rel=1e-14)


def _sum(count):
    from functools import reduce

    from tumble._expressions import Call, Expression, Name

    return Expression(reduce(lambda a, b: Call("add", (a, b)), [Name("n")] * count))


def test_every_function_can_be_written_but_the_digamma():
    writer = MathWriter(frozenset("x"))
    for name, arity in ARITIES.items():
        from tumble._expressions import Call, Expression, Name

        call = Expression(Call(name, (Name("x"),) * arity))
        if name == "digamma":
            with pytest.raises(ModelError, match="'digamma\\(x\\)' has no counterpart in SBML"):
                writer.number(call)
        else:
            text = tostring(writer.number(call), encoding="unicode")
            node = libsbml.readMathMLFromString(text)
            back = MathReader().read(node, "it")
            for x in (0.0, 0.3, 1.0):
                assert float(back({"x": np.float64(x)})) == pytest.approx(
                    float(np.float64(call({"x": np.float64(x)}))), rel=1e-15, nan_ok=True
                )
