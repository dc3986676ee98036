"""Which objective fits the data."""

from __future__ import annotations

from tumble._errors import require_member
from tumble._problem import Problem
from tumble.models import ReactionNetwork, Transitions
from tumble.objectives._base import AbstractObjective
from tumble.objectives._distribution_matching import DistributionMatching
from tumble.objectives._moment_matching import MomentMatching
from tumble.objectives._path_likelihood import PathLikelihood
from tumble.simulators import TransitionLikelihood

MANY_REPLICATES = 10


def require_problem(problem: object, objective: object) -> None:
    """Raise `ParameterError` unless these are a problem, and an objective or None."""
    require_member("problem", problem, Problem, "a Problem")
    if objective is not None:
        require_member(
            "objective", objective, AbstractObjective, "an objective such as MomentMatching()"
        )


def default_objective(problem: Problem) -> AbstractObjective:
    """Return the objective that the kind of the data calls for.

    Movies whose frames tell what was drawn, and one or few time series: `PathLikelihood`. Ten
    replicates or more in every experiment, averages or snapshots: `MomentMatching`. Black boxes,
    other lattices, and networks with variables or events, have no likelihood: `MomentMatching`
    always.
    """
    if isinstance(problem.model, Transitions) and problem.model.has_likelihood:
        return PathLikelihood(TransitionLikelihood())
    if not _has_likelihood(problem):
        return MomentMatching()
    fewest = min(e.data.num_replicates for e in problem.experiments)
    if problem.kind == "series" and fewest < MANY_REPLICATES:
        return PathLikelihood()
    return MomentMatching()


def objective_warnings(objective: AbstractObjective, problem: Problem) -> tuple[str, ...]:
    """Return what a user should know about this objective on these data."""
    fewest = min(e.data.num_replicates for e in problem.experiments)
    matches_series = isinstance(objective, MomentMatching) and problem.kind == "series"
    if isinstance(problem.model, Transitions):
        return ()
    if not _has_likelihood(problem):
        if matches_series and fewest < MANY_REPLICATES:
            is_network = isinstance(problem.model, ReactionNetwork)
            noun = "a network with variables or events" if is_network else problem.model.noun
            return (
                f"{noun} has no likelihood, so the mean over many of its runs was "
                f"compared with {fewest} series. Where runs differ much from each other, as "
                "outbreaks do, no series is like their mean, and the estimate is off: give ten "
                "replicates or more, or outputs whose mean says what you want to match.",
            )
        return ()
    if matches_series and fewest == 1:
        return (
            "moment matching compares the mean over many runs with a single series. Runs that die "
            "out early or are shifted in time pull that mean away from any one of them, and the "
            "estimate with it; use objectives.PathLikelihood() for one or few series.",
        )
    if isinstance(objective, DistributionMatching) and problem.kind == "series" and fewest == 1:
        return (
            "distribution matching compares the distribution over many runs with a single datum at "
            "each time, which holds none; use objectives.PathLikelihood() for one or few series.",
        )
    return ()


def _has_likelihood(problem: Problem) -> bool:
    model = problem.model
    return isinstance(model, ReactionNetwork) and not (model.variables or model.events)
