"""Each feature of SBML, against exact propensities or exact distributions."""

import numpy as np
import pytest

pytest.importorskip("libsbml")

import tumble as tb
from tests.formats.sbml_text import (
    compartment,
    event,
    function,
    initially,
    model,
    parameter,
    reaction,
    rule,
    species,
)
from tumble._errors import ModelError, SimulationError
from tumble._expressions import parse
from tumble.models import Event, Variable


def propensities(read, state, variables=None, time=0.0, **changed):
    """The propensities at a state, given by names."""
    net = read.network
    counts = np.array([state[s] for s in net.species])
    params = np.array([{**read.params, **changed}[p] for p in net.parameters])
    extra = {} if variables is None else {"variables": np.array(variables)}
    return net.propensities(counts, params, time, **extra).tolist()


BIRTH_DEATH = (
    species("X", 10),
    parameter("birth", 0.5),
    parameter("death", 0.25),
    reaction("Birth", {"X": 1}, {"X": 2}, "birth * X"),
    reaction("Death", {"X": 1}, {}, "death * X"),
)
LEVELS = [(2, v) for v in range(1, 6)] + [(3, 1), (3, 2)]


@pytest.mark.parametrize("level", LEVELS)
def test_a_model_reads_the_same_at_every_level(level):
    text = model(*BIRTH_DEATH, level=level)
    if level[0] == 2:
        text = text.replace(' constant="true"/></listOf', "/></listOf")
        text = text.replace('<model id="the_model" >', '<model id="the_model">' + _ITEMS).replace(
            'spatialDimensions="3" ', ""
        )
    if level == (3, 1):
        text = text.replace('reversible="false"', 'reversible="false" fast="false"')
    read = tb.read_sbml(text)
    assert read.network == tb.ReactionNetwork.from_text(
        "X -> 2 X ; birth\nX -> 0 ; death", parameters=["birth", "death"]
    )
    assert read.params == {"birth": 0.5, "death": 0.25}
    assert read.initial == {"X": 10}
    assert read.notes == ()
    assert read.reaction_ids == ("Birth", "Death")


_ITEMS = (
    '<listOfUnitDefinitions><unitDefinition id="substance"><listOfUnits><unit kind="item"/>'
    "</listOfUnits></unitDefinition></listOfUnitDefinitions>"
)


def test_a_file_and_its_text_read_alike(tmp_path):
    text = model(*BIRTH_DEATH)
    (tmp_path / "m.xml").write_text(text)
    (tmp_path / "latin.xml").write_bytes(
        text.replace("UTF-8", "ISO-8859-1")
        .replace("<model id", '<model name="é" id')
        .encode("latin-1")
    )
    assert tb.read_sbml(tmp_path / "m.xml") == tb.read_sbml(text)
    assert tb.read_sbml(str(tmp_path / "m.xml")) == tb.read_sbml(text)
    assert tb.read_sbml(tmp_path / "latin.xml").name == "é"


def test_the_distribution_is_the_exact_one():
    read = tb.read_sbml(
        model(
            species("X", 0),
            parameter("a", 3),
            parameter("m", 0.5),
            reaction("In", {}, {"X": 1}, "a"),
            reaction("Out", {"X": 1}, {}, "m * X"),
        )
    )
    later = tb.simulators.FiniteStateProjection().distribution(
        read.network, read.network.params_vector(read.params), [read.initial["X"]], [2.0]
    )
    mean = 3 / 0.5 * (1 - np.exp(-0.5 * 2.0))  # a Poisson variable of this mean
    poisson = np.exp(-mean) * np.cumprod([1.0, *(mean / np.arange(1, 15))])
    assert later.marginal(0)[0, :15] == pytest.approx(poisson, abs=1e-9)


# -- amounts and concentrations -------------------------------------------------------------------


def test_a_concentration_is_a_count_over_the_volume():
    read = tb.read_sbml(
        model(
            compartment("cell", 2.5),
            species("A", None, hasOnlySubstanceUnits="false", initialConcentration="4"),
            species("B", 7, hasOnlySubstanceUnits="false"),
            species("C", None, initialConcentration="2"),
            parameter("k", 0.3),
            reaction("R", {"A": 1, "B": 1}, {"C": 1}, "k * A * B * cell"),
            reaction("Q", {"C": 1}, {}, "k * C"),
            reaction("S", {"A": 1}, {}, "k * A / (1 + A)"),
        )
    )
    assert read.initial == {"A": 10, "B": 7, "C": 5}
    a, b, c, v, k = 10, 7, 5, 2.5, 0.3
    exact = [k * (a / v) * (b / v) * v, k * c, k * (a / v) / (1 + a / v)]
    assert propensities(read, read.initial) == pytest.approx(exact, rel=1e-14)
    assert read.network.is_mass_action.tolist() == [True, True, False]
    doubled = [k * a * b / 5.0, k * c, k * (a / 5) / (1 + a / 5)]
    assert propensities(read, read.initial, cell=5.0) == pytest.approx(doubled, rel=1e-14)


def test_a_compartment_of_size_1_is_no_parameter():
    read = tb.read_sbml(
        model(
            compartment("cell", 1),
            species("A", 3, hasOnlySubstanceUnits="false"),
            parameter("k", 2),
            reaction("R", {"A": 1}, {}, "cell * k * A / (1 + A)"),
        )
    )
    assert str(read.network.reactions[0]) == "A => 0 ; k * A / (1 + A)"
    assert read.network.parameters == ("k",)


def test_two_compartments():
    read = tb.read_sbml(
        model(
            compartment("cell", 2),
            compartment("out", 8),
            species("A", 4, hasOnlySubstanceUnits="false"),
            species("B", 16, compartment="out", hasOnlySubstanceUnits="false"),
            parameter("k", 0.5),
            reaction("Go", {"A": 1}, {"B": 1}, "k * (A - B)", reversible=True),
        )
    )
    assert propensities(read, read.initial) == [0.5 * 4 / 2, 0.5 * 16 / 8]
    assert read.reaction_ids == ("Go", "Go")
    assert read.network.stoichiometry.tolist() == [[-1, 1], [1, -1]]


def test_without_a_size_concentrations_are_refused():
    parts = (compartment("cell", None), species("A", 3, hasOnlySubstanceUnits="false"))
    law = reaction("R", {"A": 1}, {}, "A")
    with pytest.raises(ModelError) as caught:
        tb.read_sbml(model(*parts, law))
    assert str(caught.value) == (
        "the text: compartment 'cell' has no size, but species 'A' (line 8) is a concentration in "
        "it; set the size, or hasOnlySubstanceUnits."
    )
    amount = (compartment("cell", None), species("A", 3))
    assert tb.read_sbml(model(*amount, law)).initial == {"A": 3}
    with pytest.raises(
        ModelError, match=r"reaction 'R' .* uses compartment 'cell', which has no v"
    ):
        tb.read_sbml(model(*amount, reaction("R", {"A": 1}, {}, "A * cell")))


def test_a_volume_that_grows_changes_the_rate_of_meeting():
    read = tb.read_sbml(
        model(
            compartment("cell", 2, constant=False),
            species("A", 10, hasOnlySubstanceUnits="false"),
            species("B", 6, hasOnlySubstanceUnits="false"),
            parameter("k", 0.5),
            parameter("g", 0.1),
            rule("rate", "cell", "g * cell"),
            reaction("R", {"A": 1, "B": 1}, {}, "k * A * B * cell"),
        )
    )
    assert read.network.variables == {"cell": Variable(2, "g * cell")}
    for v in (2.0, 3.0, 8.0):
        assert propensities(read, read.initial, [v]) == pytest.approx([0.5 * 10 * 6 / v])


# -- parameters, rules and functions --------------------------------------------------------------


def test_local_parameters_shadow_global_ones():
    read = tb.read_sbml(
        model(
            species("A", 10),
            parameter("k", 1),
            reaction("R", {"A": 1}, {}, "k * A", local={"k": 5}),
            reaction("S", {"A": 1}, {}, "k * A"),
            reaction("T", {"A": 1}, {}, "own * A", local={"own": 7}),
            reaction("U", {"A": 1}, {}, "twin * A", local={"twin": 2}),
            reaction("W", {"A": 1}, {}, "twin * A", local={"twin": 3}),
        )
    )
    assert read.params == {"k": 1, "R_k": 5, "own": 7, "U_twin": 2, "W_twin": 3}
    assert propensities(read, {"A": 10}) == [50, 10, 70, 20, 30]
    assert read.notes[0] == "Parameter 'k' of reaction 'R' is called 'R_k'."


def test_assignment_rules_become_definitions():
    read = tb.read_sbml(
        model(
            species("A", 10),
            species("B", 4),
            species("total", None, constant="false"),
            parameter("k", 0.5),
            parameter("half", constant=False),
            rule("assignment", "total", "A + B"),
            rule("assignment", "half", "k / 2"),
            reaction("R", {"A": 1}, {"B": 1}, "half * A"),
            reaction("S", {"A": 1}, {}, "k * total", modifiers=("total",)),
        )
    )
    net = read.network
    assert {k: str(v) for k, v in net.definitions.items()} == {"half": "k / 2", "total": "A + B"}
    assert net.species == ("A", "B")
    assert propensities(read, read.initial) == [2.5, 7]
    assert net.is_mass_action.tolist() == [True, False]


def test_a_sum_of_species_that_is_linear_is_no_mass_action():
    read = tb.read_sbml(
        model(
            species("A", 10),
            parameter("n", constant=False),
            parameter("k", 2),
            rule("assignment", "n", "3 * A"),
            reaction("R", {"A": 1}, {}, "k * n"),
        )
    )
    assert str(read.network.reactions[0]) == "A -> 0 ; 6 * A".replace("6 * A", "3 * k")
    assert propensities(read, {"A": 10}) == [60]


def test_initial_assignments():
    read = tb.read_sbml(
        model(
            compartment("cell", 2),
            species("A", None),
            species("B", None, hasOnlySubstanceUnits="false"),
            parameter("k", 3),
            parameter("twice"),
            parameter("start"),
            parameter("v", constant=False),
            initially("A", "k + 4"),
            initially("B", "twice"),
            initially("twice", "2 * k"),
            initially("start", "A * 10"),
            initially("v", "k + A"),
            rule("rate", "v", "-v"),
            reaction("R", {"A": 1}, {}, "twice * A + start * v"),
        )
    )
    assert read.initial == {"A": 7, "B": 12}
    assert {k: str(v) for k, v in read.network.definitions.items()} == {"twice": "2 * k"}
    assert read.params == {"k": 3, "start": 70}
    assert read.network.variables == {"v": Variable("k + A", "-v")}
    assert propensities(read, read.initial, [2.0]) == [6 * 7 + 70 * 2]
    assert "'start' is 70, the value of its initial assignment 'A * 10' at time 0." in read.notes


def test_initial_assignments_in_a_circle_are_refused():
    text = model(
        species("A", 1), parameter("p"), parameter("q"), initially("p", "q"), initially("q", "p"),
        reaction("R", {"A": 1}, {}, "p * A"),
    )  # fmt: skip
    with pytest.raises(ModelError):
        tb.read_sbml(text)


def test_functions_are_written_out():
    read = tb.read_sbml(
        model(
            function("mm", "lambda(s, v, k, v * s / (k + s))"),
            species("A", 10),
            parameter("v", 4),
            parameter("k", 6),
            reaction("R", {"A": 1}, {}, "mm(A, v, k)"),
        )
    )
    assert str(read.network.reactions[0]) == "A => 0 ; v * A / (k + A)"


def test_piecewise_and_time():
    symbol = "http://www.sbml.org/sbml/symbols/time"
    clock = f'<csymbol encoding="text" definitionURL="{symbol}">clock</csymbol>'
    two = '<cn type="integer">2</cn>'
    law = (
        f"<piecewise><piece><apply><times/><ci>k</ci><ci>A</ci></apply><apply><lt/>{clock}{two}"
        "</apply></piece><otherwise><cn>0</cn></otherwise></piecewise>"
    )
    read = tb.read_sbml(model(species("A", 5), parameter("k", 3), reaction("R", {"A": 1}, {}, law)))
    assert propensities(read, {"A": 5}, time=1.0) == [15]
    assert propensities(read, {"A": 5}, time=2.0) == [0]


def _product(*names):
    return "<apply><times/>" + "".join(f"<ci>{name}</ci>" for name in names) + "</apply>"


def test_ids_that_mean_something_else_here_are_renamed():
    read = tb.read_sbml(
        model(
            species("time", 5),
            species("_", 2),
            species("lambda", 3),
            parameter("and", 3),
            parameter("pi", 7),
            parameter("e", 2),
            reaction("R", {"time": 1}, {"_": 1}, _product("and", "pi", "time")),
            reaction("S", {"lambda": 1}, {}, _product("e", "lambda", "lambda")),
        )
    )
    assert read.network.species == ("time_", "underscore", "lambda")
    assert read.params == {"and_": 3, "pi": 7, "e": 2}
    counts = {"time_": 5, "underscore": 2, "lambda": 3}
    assert propensities(read, counts) == [105, 18]
    assert len(read.notes) == 3
    assert (
        tb.ReactionNetwork.from_text(
            read.network.to_text(), species=read.network.species, parameters=read.network.parameters
        )
        == read.network
    )


def test_the_rate_of_a_reaction_and_a_stoichiometry_have_names():
    text = model(
        species("A", 5),
        parameter("flux", constant=False),
        parameter("k", 3),
        rule("assignment", "flux", "R * two"),
        reaction("R", {"A": 2}, {}, "k * A"),
        reaction("S", {}, {"A": 1}, "flux"),
    ).replace('species="A" stoichiometry="2"', 'id="two" species="A" stoichiometry="2"')
    read = tb.read_sbml(text)
    assert propensities(read, {"A": 5}) == [15, 30]


# -- species that reactions do not change ---------------------------------------------------------


def test_boundary_and_constant_species_stay():
    read = tb.read_sbml(
        model(
            species("Source", 20, boundaryCondition="true"),
            species("Fixed", 3, boundaryCondition="true", constant="true"),
            species("Half", 0.5, boundaryCondition="true"),
            species("Sink", 0, boundaryCondition="true"),
            species("A", 5),
            parameter("k", 2),
            reaction("R", {"Source": 1}, {"A": 1}, "k * Source"),
            reaction("S", {"A": 1, "Fixed": 1}, {"Sink": 1}, "k * A * Fixed"),
            reaction("T", {"A": 1}, {"Sink": 1}, "k * A * Half", modifiers=("Half",)),
            reaction("U", {"Source": 1}, {"Sink": 1}, "k * Source"),
        )
    )
    assert read.network.species == ("Source", "Fixed", "Sink", "A")
    assert read.params == {"k": 2, "Half": 0.5}
    assert propensities(read, {**read.initial}) == [40, 30, 5]
    change = dict(zip(read.network.species, read.network.stoichiometry.tolist(), strict=True))
    assert change == {"Source": [0] * 3, "Fixed": [0] * 3, "Sink": [0] * 3, "A": [1, -1, -1]}
    assert "Reaction 'U' changes no count and is left out." in read.notes


def test_stoichiometries_and_batches():
    read = tb.read_sbml(
        model(
            species("A", 0),
            species("B", 0),
            parameter("k", 2),
            reaction("R", {}, {"A": 100}, "k"),
            reaction("S", {"A": 3}, {"B": 2}, "k * A * (A - 1) * (A - 2) / 6"),
        )
    )
    assert read.network == tb.ReactionNetwork.from_text("0 -> 100 A ; k\n3 A -> 2 B ; k")


def test_the_law_of_differential_equations_stays_as_it_is_written():
    read = tb.read_sbml(
        model(species("P", 9), species("D"), parameter("k", 2),
              reaction("R", {"P": 2}, {"D": 1}, "k * P * P"))
    )  # fmt: skip
    assert not read.network.is_mass_action[0]
    assert propensities(read, {"P": 9, "D": 0}) == [162]


def test_a_modifier_in_mass_action_is_a_catalyst():
    read = tb.read_sbml(
        model(species("E", 3), species("S", 5), species("P"), parameter("k", 2),
              reaction("R", {"S": 1}, {"P": 1}, "k * E * S", modifiers=("E",)))
    )  # fmt: skip
    assert str(read.network.reactions[0]) == "S + E -> P + E ; k"
    assert propensities(read, read.initial) == [30]
    assert read.notes == (
        "Reaction 'R' has E on both sides, since its law is mass action in it.",
        *read.notes[1:],
    )


def test_a_conversion_factor_multiplies_what_a_reaction_changes():
    text = model(
        species("A", 9, conversionFactor="two"), species("B", 0),
        parameter("two", 2), parameter("k", 0.5),
        reaction("R", {"A": 1}, {"B": 3}, "k * B"),
    )  # fmt: skip
    read = tb.read_sbml(text)
    assert read.network.stoichiometry.tolist() == [[-2], [3]]
    everything = tb.read_sbml(text.replace('conversionFactor="two"', "").replace(
        '<model id="the_model"', '<model conversionFactor="two" id="the_model"'))  # fmt: skip
    assert everything.network.stoichiometry.tolist() == [[-2], [6]]
    with pytest.raises(
        ModelError, match=r"reaction 'R' .* takes 1\.5 of species 'A', expected a w"
    ):
        tb.read_sbml(text.replace('id="two" value="2"', 'id="two" value="1.5"'))


# -- reversible reactions -------------------------------------------------------------------------


def test_a_reversible_reaction_is_two():
    read = tb.read_sbml(
        model(
            compartment("cell", 2),
            species("A", 8, hasOnlySubstanceUnits="false"),
            species("B", 6, hasOnlySubstanceUnits="false"),
            parameter("f", 3),
            parameter("r", 1),
            reaction("R", {"A": 2}, {"B": 1}, "cell * (f * A * (A - 1/cell) / 2 - r * B)",
                     reversible=True),
        )
    )  # fmt: skip
    assert [r.equation for r in read.network.reactions] == ["2 A -> B", "B -> 2 A"]
    assert propensities(read, read.initial) == [2 * 3 * 4 * 3.5 / 2, 6]


def test_a_reversible_reaction_with_one_direction_is_one():
    read = tb.read_sbml(
        model(species("A", 8), parameter("k", 3),
              reaction("R", {"A": 1}, {}, "k * A", reversible=True))
    )  # fmt: skip
    assert read.network == tb.ReactionNetwork.from_text("A -> 0 ; k")


def test_a_law_that_is_no_difference_is_that_of_one_direction():
    text = model(species("A", 8), parameter("k", -3), parameter("j", 1),
                 reaction("R", {"A": 1}, {}, "k * A - j", reversible=True))  # fmt: skip
    read = tb.read_sbml(text)
    assert read.notes == (
        "Reaction 'R' is said to be reversible, but its law 'k * A - j' is not a difference of two "
        "rates: it is taken as that of the forward direction, and a run in which it becomes "
        "negative fails.",
    )
    with pytest.raises(SimulationError, match=r"reaction 'A => 0 ; k \* A - j' in 1"):
        tb.simulate(read.network, read.params, initial=read.initial, times=[1.0])
    positive = tb.read_sbml(text.replace('value="-3"', 'value="3"'))
    assert propensities(positive, {"A": 8}) == [24, 1]


def test_a_seasonal_law_need_not_be_said_to_have_one_direction():
    text = model(species("A", 0), parameter("k", 5),
                 reaction("R", {}, {"A": 1}, "k * (1 + sin(time))", reversible=True))  # fmt: skip
    read = tb.read_sbml(text)
    assert [r.equation for r in read.network.reactions] == ["0 => A"]
    assert "forward direction" in read.notes[0]


def test_a_difference_that_is_not_one_of_directions_is_refused():
    parts = (species("A", 8), species("B", 0), parameter("k", 3))
    square = reaction("R", {"A": 2}, {"B": 1}, "k * A * (A - 0.5)", reversible=True)
    with pytest.raises(ModelError, match="is not a difference of two terms"):
        tb.read_sbml(model(*parts, square))
    swapped = reaction("R", {"A": 1}, {"B": 1}, "k * B - k * A", reversible=True)
    with pytest.raises(ModelError, match="is not a difference of two terms"):
        tb.read_sbml(model(*parts, swapped))


# -- events and variables -------------------------------------------------------------------------


def test_events_with_everything():
    read = tb.read_sbml(
        model(
            compartment("cell", 2),
            species("A", 8, hasOnlySubstanceUnits="false"),
            species("B", 1),
            parameter("k", 3, constant=False),
            parameter("j", 2),
            reaction("R", {"A": 1}, {}, "k * A"),
            event("one", "time >= 25", {"A": "50"}),
            event("two", "A > 3 && B < 2", {"B": "B + 1", "k": "k / j"}, delay="j", priority="A",
                  persistent=False, initial=False, values_from_trigger=False),
        )
    )  # fmt: skip
    assert read.network.variables == {"k": Variable(3)}
    assert read.network.events == (
        Event("time >= 25", {"A": "50 * cell"}, name="one"),
        Event("A / cell > 3 and B < 2", {"B": "B + 1", "k": "k / j"}, name="two", delay="j",
              priority="A / cell", persistent=False, initially=False, values_from_trigger=False),
    )  # fmt: skip
    assert propensities(read, read.initial, [5.0]) == [5 * 8 / 2]


def test_an_event_of_a_volume_and_a_concentration_in_it():
    read = tb.read_sbml(
        model(
            compartment("cell", 2, constant=False),
            species("A", 8, hasOnlySubstanceUnits="false"),
            reaction("R", {"A": 1}, {}, "A"),
            event("e", "time > 1", {"A": "3", "cell": "4"}),
        )
    )
    # The concentration is 3 in the new volume.
    assert read.network.events[0].assignments == {"A": parse("3 * 4"), "cell": parse("4")}


def test_an_event_of_a_boundary_species():
    read = tb.read_sbml(
        model(
            species("Food", 5, boundaryCondition="true"),
            species("Dose", 0.5, boundaryCondition="true"),
            species("A", 1),
            reaction("R", {"Food": 1}, {"A": 1}, "Food * Dose", modifiers=("Dose",)),
            event("e", "time > 1", {"Food": "0", "Dose": "1.5"}),
        )
    )
    assert read.network.species == ("Food", "A")
    assert read.network.variables == {"Dose": Variable(0.5)}
    assert propensities(read, {"Food": 5, "A": 1}, [0.5]) == [2.5]


def test_events_of_level_2_have_their_old_meaning():
    text = model(*BIRTH_DEATH, event("e", "time > 1", {"X": "5"}), level=(2, 4))
    text = text.replace(' constant="true"/></listOf', "/></listOf")
    text = text.replace('persistent="true" initialValue="true"', "")
    read = tb.read_sbml(text)
    assert read.network.events == (Event("time > 1", {"X": "5"}, name="e"),)


def test_an_event_without_assignments_is_left_out():
    text = model(*BIRTH_DEATH, event("e", "time > 1", {"X": "1"}))
    start, end = text.index("<listOfEventAssignments>"), text.index("</event>")
    read = tb.read_sbml(text[:start] + text[end:])
    assert read.network.events == ()
    assert "Event 'e' assigns nothing and is left out." in read.notes


def test_rate_rules_become_variables():
    read = tb.read_sbml(
        model(
            species("A", 4),
            species("C", 6, boundaryCondition="true"),
            parameter("x", 1.5, constant=False),
            parameter("k", 2),
            rule("rate", "x", "-k * x + A"),
            rule("rate", "C", "k"),
            reaction("R", {"A": 1}, {}, "x * A * C", modifiers=("C",)),
        )
    )
    assert read.network.variables == {"x": Variable(1.5, "-k * x + A"), "C": Variable(6, "k")}
    assert propensities(read, {"A": 4}, [0.5, 3.0]) == [6]


# -- units ----------------------------------------------------------------------------------------


def test_units_are_noted_and_not_converted():
    read = tb.read_sbml(model(*BIRTH_DEATH, attributes='substanceUnits="mole"'))
    assert read.notes == (
        "The substance unit of the model is mole; amounts are taken as numbers of items, without "
        "conversion.",
    )
    assert read.substance_unit == "mole"
    assert read.initial == {"X": 10}
    nano = '<unitDefinition id="nmol"><listOfUnits><unit kind="mole" exponent="1" scale="-9" \
multiplier="1"/></listOfUnits></unitDefinition>'
    read = tb.read_sbml(model(nano, *BIRTH_DEATH, attributes='substanceUnits="nmol"'))
    assert read.substance_unit == "1e-09 mole"
    for unit in ("item", "dimensionless"):
        assert tb.read_sbml(model(*BIRTH_DEATH, attributes=f'substanceUnits="{unit}"')).notes == ()
