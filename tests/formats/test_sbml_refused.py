"""What is refused, by the text of the error."""

import pytest

pytest.importorskip("libsbml")

import tumble as tb
from tests.formats.sbml_text import event, function, model, parameter, reaction, rule, species
from tumble._errors import ModelError

A = species("A", 5)
K = parameter("k", 2)
R = reaction("R", {"A": 1}, {}, "k * A")
DELAY = (
    '<apply><csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/delay">d'
    "</csymbol><ci>A</ci><cn>1</cn></apply>"
)
COMP = "http://www.sbml.org/sbml/level3/version1/comp/version1"


def refusal(text):
    with pytest.raises(ModelError) as caught:
        tb.read_sbml(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (model(A, K), "the text: the model has no reaction that changes a count"),
        (
            model(A, K, R, "<algebraicRule>{{}}</algebraicRule>").format(
                '<math xmlns="http://www.w3.org/1998/Math/MathML"><ci>A</ci></math>'
            ),
            "an algebraic rule (line 14) is not supported; solve it for one quantity and write an "
            "assignment rule.",
        ),
        (
            model(A, K, reaction("R", {"A": 1}, {}, "k * A", fast="true"), level=(3, 1)),
            "reaction 'R' (line 14) is fast, which has no stochastic meaning here; give it a rate "
            "instead.",
        ),
        (
            model(A, K, reaction("R", {"A": 1}, {}, DELAY)),
            "reaction 'R' (line 14) uses the csymbol 'delay', which is not supported",
        ),
        (
            model(A, K, reaction("R", {"A": 0.5}, {}, "k * A")),
            "reaction 'R' (line 14) takes 0.5 of species 'A', expected a whole number that does "
            "not vary.",
        ),
        (
            model(
                A, K, parameter("j", 1),
                reaction("R", {"A": 1}, {}, "k * A").replace('species="A"', 'id="n" species="A"')
                .replace('stoichiometry="1" constant="true"', 'constant="false"'),
                rule("assignment", "n", "j"),
            ),
            "has a stoichiometry 'n' that a rule, an event or an initial assignment sets, which is "
            "not supported; expected a whole number.",
        ),
        (
            model(species("A", 2.5), K, R),
            "species 'A' (line 8) starts with 2.5, expected a whole number ≥ 0 of items; give its "
            "amount in items.",
        ),
        (model(species("A", -3), K, R), "species 'A' (line 8) starts with -3, expected a whole"),
        (
            model(A, K, reaction("R", {"A": 1}, {}, "k * Q")),
            "(libSBML's error 10215)",
        ),
        (
            model(A, K, K, R),
            "the text is not valid SBML: line 12: The value of the 'id' field on every instance",
        ),
        (
            model(A, K, R, rule("assignment", "k", "2 * k")),
            "(libSBML's error",
        ),
        (
            model(A, K, R, root=f'xmlns:comp="{COMP}" comp:required="true"'),
            "the text needs the SBML package 'comp' to be understood, which is not supported; "
            "expected core SBML alone.",
        ),
        (
            model(A, K, R.replace("<kineticLaw>", "<!--").replace("</kineticLaw>", "-->")),
            "reaction 'R' (line 14) has no kinetic law; give it one.",
        ),
        (
            model(A, K, R, reaction("S", {"A": 1}, {}, "R")),
            "reaction 'S' (line 22) uses the rate of a reaction in its own; write its formula",
        ),
        (
            model(A, K, function("f", "lambda(x, f(x))"), reaction("R", {"A": 1}, {}, "f(A)")),
            "(libSBML's error 20303)",
        ),
        (
            model(A, parameter("j", 2), R.replace("<ci> k </ci>", "<ci> j </ci>"),
                  event("e", "A > 3", {"j": "1"})),
            "(libSBML's error",
        ),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_name(text, words):
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "the text is empty; expected SBML."),
        ("<sbml", "the text is not well-formed XML: line 1: unclosed token."),
        ("<sbml></sbm>", "the text is not well-formed XML: line 1: mismatched tag."),
        ("<html/>", "the text is XML, but no SBML: its root element is 'html'."),
        ("<sbml/>", "the text is XML, but no SBML: its root element is 'sbml'."),
        (
            '<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core"/>',
            "the text is SBML level ? version ?, expected level 2 version 1 to 5 or level 3",
        ),
        (
            '<!DOCTYPE sbml [<!ENTITY a "aaaa">]><sbml/>',
            "the XML has a DOCTYPE, which SBML does not allow; remove it.",
        ),
        ("<a>" * 200, "the XML nests more than 180 deep; split formulas up."),
        (
            '<sbml xmlns="http://www.sbml.org/sbml/level1" level="1" version="2"><model/></sbml>',
            "is SBML level 1 version 2, expected level 2 version 1 to 5 or level 3 version 1 or 2",
        ),
        (
            '<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2"/>',
            "the text holds no model; expected an element 'model'.",
        ),
    ],
)
def test_what_is_no_sbml_is_one_clear_error(text, message):
    assert message in refusal(text)


def test_files_that_cannot_be_read(tmp_path):
    assert refusal(tmp_path / "no.xml") == (
        f"'{tmp_path / 'no.xml'}' cannot be read: No such file or directory; check the path."
    )
    assert refusal("") == "the model is empty; give the path of a file, or its text."
    (tmp_path / "empty.xml").write_text("")
    assert refusal(tmp_path / "empty.xml") == "empty.xml is empty; expected SBML."
    (tmp_path / "bytes.xml").write_bytes(b"\xff\x00\xfa" * 30)
    assert refusal(tmp_path / "bytes.xml") == "'bytes.xml' is not text in UTF-8; save it as such."
    with open(tmp_path / "large.xml", "wb") as file:
        file.truncate(30 * 2**20)
    assert refusal(tmp_path / "large.xml") == "large.xml has 30 MiB, expected at most 20."
    assert "cannot be read" in refusal(tmp_path)


def test_level_2_stoichiometry_math_is_refused():
    text = model(A, K, R, level=(2, 4)).replace(' constant="true"/></listOf', "/></listOf")
    formula = '<math xmlns="http://www.w3.org/1998/Math/MathML"><ci>k</ci></math>'
    text = text.replace(
        '<speciesReference species="A" stoichiometry="1"/>',
        f'<speciesReference species="A"><stoichiometryMath>{formula}</stoichiometryMath>'
        "</speciesReference>",
    )
    assert "reaction 'R' (line 14) has a stoichiometryMath for 'A', which is not" in refusal(text)


def test_nothing_is_printed(capfd):
    refusal("<sbml")
    refusal(model(A, K, K, R))
    refusal(model(A, K, R).replace("<times/>", "<tims/>"))
    tb.read_sbml(model(A, K, R))
    assert capfd.readouterr() == ("", "")


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "libsbml", None)
    assert refusal(model(A, K, "")) == (
        "SBML is read and written by the package python-libsbml, which is not installed; run: "
        'pip install "tumble[sbml]"'
    )
    monkeypatch.setitem(sys.modules, "antimony", None)
    with pytest.raises(ModelError, match="package antimony, which is not installed; run: pip"):
        tb.read_antimony("A -> ; k * A; k = 1; A = 2")
