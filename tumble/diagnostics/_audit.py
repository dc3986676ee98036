"""Whether a gradient is right: an equivalence test against a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tumble._budget import Budget, Spending
from tumble._errors import DerivativeError, ParameterError, is_number, require_member, shown
from tumble._fit_result import FitResult
from tumble._problem import Problem, as_params
from tumble._progress import showing
from tumble._random import Stream
from tumble._typing import FloatArray, Params
from tumble.diagnostics._looks import AuditRow, FixedGradient, SampledGradient, look
from tumble.diagnostics._references import (
    AbstractReference,
    ReferenceGradient,
    likelihood_reference,
    moments_reference,
    sampled_reference,
)
from tumble.gradients import AbstractEstimator, Auto, Verdict, require_estimators
from tumble.models import ReactionNetwork
from tumble.objectives import (
    AbstractObjective,
    BoundLikelihood,
    BoundOutputs,
    default_objective,
    require_problem,
)

_DEFAULT_RUNS = 400_000
_FIT_RUNS = 100_000


@dataclass(frozen=True, repr=False)
class GradientAudit:
    """The verdicts on one or more gradient estimators at one point.

    Attributes: ``params``, where; ``reference``, against what; ``rows``; ``num_runs`` of the
    simulator; ``displacement``, from `audit_fit`: parameter → (shift, error) in standard errors of
    the fit by which one Newton step on the reference would move the estimate; ``refused``:
    estimator → why it cannot be used at this point; ``notes``, sentences on the audit itself.
    """

    params: Mapping[str, Any]
    reference: str
    rows: tuple[AuditRow, ...]
    num_runs: int
    displacement: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def verdicts(self) -> dict[str, str]:
        """Estimator → its worst verdict: WRONG before UNDECIDED before RIGHT."""
        worst: dict[str, str] = {}
        order = [v.value for v in (Verdict.RIGHT, Verdict.UNDECIDED, Verdict.WRONG)]
        for row in self.rows:
            before = worst.get(row.estimator, "RIGHT")
            worst[row.estimator] = max(before, row.verdict, key=order.index)
        return worst

    @property
    def best(self) -> str | None:
        """The estimator that is RIGHT for every parameter at the lowest cost; None without one."""
        costs = {row.estimator: row.work_variance for row in self.rows}
        right = [name for name, verdict in self.verdicts.items() if verdict == "RIGHT"]
        return min(right, key=lambda name: costs[name], default=None)

    @property
    def words(self) -> str:
        """The audit in plain words."""
        verdicts = self.verdicts
        alone = len(verdicts) == 1
        right = [] if alone else [name for name, v in verdicts.items() if v == "RIGHT"]
        sentences = [self._sentence(n, v) for n, v in verdicts.items() if n not in right]
        if len(right) > 1:
            sentences.append(f"{_listed(right)} are right; {self.best} is the cheapest of them.")
        elif right:
            sentences.append(f"{self.best} is right.")
        if self.displacement:
            name = max(self.displacement, key=lambda k: abs(self.displacement[k][0]))
            shift, error = self.displacement[name]
            sentences.append(
                f"One step on the exact likelihood would move {name} most, by {shift:+.2f} ± "
                f"{error:.2f} of its standard errors."
            )
        sentences += [f"{n} cannot be used here: {why}" for n, why in self.refused.items()]
        return " ".join([*sentences, *self.notes])

    def summary(self) -> str:
        """Return the audit as a table and a sentence."""
        lines = [f"Gradient audit against: {self.reference}", f"  {self.words}", ""]
        head = f"  {'estimator':<18} {'parameter':<10} {'estimate':>22} {'reference':>22}"
        lines.append(f"{head} {'S/N':>7} {'cost':>9}  verdict")
        for row in self.rows:
            estimate = f"{row.estimate:.4g} ± {row.standard_error:.2g}"
            reference = f"{row.reference:.4g} ± {row.reference_error:.2g}"
            noise = f"{row.signal_to_noise:.3g}" if row.standard_error > 0 else "exact"
            cost = f"{row.work_variance:.2g}" if row.work_variance > 0 else ""
            known = 0 < row.runs_needed < np.inf
            more = f" (needs about {row.runs_needed:.1g} runs)" if known else ""
            lines.append(
                f"  {row.estimator:<18} {row.parameter:<10} {estimate:>22} {reference:>22} "
                f"{noise:>7} {cost:>9}  {row.verdict}{more}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as numbers, words, lists and dictionaries, ready for JSON."""
        return {
            "params": {k: np.asarray(v, dtype=float).tolist() for k, v in self.params.items()},
            "reference": self.reference,
            "words": self.words,
            "verdicts": self.verdicts,
            "best": self.best,
            "num_runs": int(self.num_runs),
            "displacement": {k: list(v) for k, v in self.displacement.items()},
            "refused": dict(self.refused),
            "rows": [asdict(row) for row in self.rows],
        }

    __repr__ = summary

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.summary())}</pre>"

    def _sentence(self, name: str, verdict: str) -> str:
        rows = [r for r in self.rows if r.estimator == name]
        if verdict == "RIGHT":
            return f"{name} is right for every parameter here."
        parts = []
        for row in rows:
            if row.verdict == "WRONG":
                parts.append(f"{name} is {_how_wrong(row)} for {row.parameter} here.")
        unsure = [r.parameter for r in rows if r.verdict == "UNDECIDED"]
        if any(r.reference_error == np.inf for r in rows):
            parts.append(
                f"{name} is undecided: there is no reference here, since no particle of a filter "
                "hits data without measurement noise."
            )
        elif unsure:
            parts.append(f"{name} is undecided for {', '.join(unsure)}: more runs would tell.")
        return " ".join(parts)


def audit_gradient(
    problem: Problem,
    params: Params,
    *,
    objective: AbstractObjective | None = None,
    gradients: Sequence[AbstractEstimator] | None = None,
    reference: AbstractReference | None = None,
    margin: float = 0.1,
    level: float = 0.01,
    budget: Budget | None = None,
    seed: int = 0,
    executor: Any = None,
    progress: Any = None,
) -> GradientAudit:
    """Test gradient estimators against a reference at one point.

    Definition: for each parameter, on the fit scale, with margin m_j = ``margin`` ·
    max(|ref_j|, 0.1 ‖ref‖) and a simultaneous interval of the difference that includes the
    reference's own error: UNDECIDED until its half-width is at most m_j; then RIGHT inside ±m_j,
    WRONG wholly outside. Runs double between looks, and the looks are corrected for.

    Arguments:

    - ``problem``, ``params``: where.
    - ``objective``: default by the kind of the data, as in `fit`. The gradient of a path likelihood
      is compared with that of the exact likelihood, so its approximation is part of the test.
    - ``gradients``: estimators to test, for simulated losses. Default the candidates of `Auto` that
      the simulator allows. Those that cannot be used at this point, such as scores at a rate of
      zero, are named with the reason and left out.
    - ``reference``: default finite state projection where the states are few; otherwise particle
      filters (likelihoods), an estimator with a proven guarantee that is not under test, or, where
      there is none (networks with variables, events or rates that depend on time, plain black
      boxes), differences between plain runs.
    - ``level``: chance of a wrong verdict, in total. Default 0.01.
    - ``budget``: default 400,000 runs.

    Returns a `GradientAudit`. Raises `CapabilityError` where no reference is to be had, and what
    the estimators raise where none of them can be used.

    When: before or during a fit, away from the minimum. At the minimum the gradient is zero and the
    margin with it, so that hardly anything can be called right: audit a finished fit with
    `audit_fit`.
    """
    require_problem(problem, objective)
    _check_settings(margin, level, budget, reference)
    objective = default_objective(problem) if objective is None else objective
    bound = objective.bind(problem)
    z = np.asarray(problem.space.to_fit(as_params(problem, params)), dtype=float)
    spending = Spending(budget or Budget(simulations=_DEFAULT_RUNS))
    stream = Stream.from_seed(seed).child("audit")
    with showing(progress, "audit") as bar:
        if isinstance(bound, BoundLikelihood):
            source = reference or likelihood_reference(bound, z)
            evaluation = bound.evaluate(z[None])
            name = type(bound.through).__name__
            exact = FixedGradient(evaluation.gradients[0])
            allowance = spending.simulations_left
            rows = look(
                problem, name, exact, source, z, margin, level, allowance, spending, stream, bar
            )
            return GradientAudit(dict(params), source.name, tuple(rows), spending.simulations)
        assert isinstance(bound, BoundOutputs)
        if gradients is not None:
            require_estimators("gradients", gradients)
        return _audit_estimators(
            bound, params, z, gradients, reference, margin, level, spending, stream, executor, bar
        )


def _check_settings(margin: Any, level: Any, budget: Any, reference: Any) -> None:
    known = is_number(margin) and is_number(level)
    if not (known and 0 < margin < 1 and 0 < level < 0.5):
        raise ParameterError(
            f"`margin` is {shown(margin)} and `level` {shown(level)}; expected within (0, 1) and "
            "(0, 1/2)."
        )
    if budget is not None:
        require_member("budget", budget, Budget, "a Budget such as Budget(simulations=1e5)")
    if reference is not None:
        require_member("reference", reference, AbstractReference, "a reference, or None")


def audit_fit(
    fit: FitResult,
    *,
    budget: Budget | None = None,
    seed: int = 0,
    executor: Any = None,
    progress: Any = None,
) -> GradientAudit:
    """Audit the gradient that a fit followed, near its estimate.

    At the estimate itself the gradient is zero, and nothing can be within 10 % of it. So the audit
    is made two standard errors above the estimate in every free parameter, and at the estimate the
    exact gradient is turned into the shift it asks for, in standard errors (path likelihoods
    only). Arguments as in `audit_gradient`; ``budget``: default 100,000 runs.
    """
    problem, space = fit.problem, fit.problem.space
    errors = np.nan_to_num(np.sqrt(np.maximum(np.diag(fit.covariance), 0.0)))
    probe = space.clip(fit.fit_scale + np.minimum(2 * errors, 0.5))
    if not np.any(errors > 0):
        probe = space.clip(fit.fit_scale + 0.1)
    params = space.unpack(np.asarray(space.from_fit(probe)))
    objective = fit.objective
    bound = objective.bind(problem)
    budget = budget or Budget(simulations=_FIT_RUNS)
    if isinstance(bound, BoundOutputs):
        return audit_gradient(
            problem, params, objective=objective, budget=budget, seed=seed,
            executor=executor, progress=progress,
        )  # fmt: skip
    source = likelihood_reference(bound, probe)
    audit = audit_gradient(
        problem, params, objective=objective, reference=source, budget=budget, seed=seed,
        executor=executor, progress=progress,
    )  # fmt: skip
    share = int((budget.simulations or _FIT_RUNS) // 6)
    stream = Stream.from_seed(seed).child("displacement")
    exact = source.gradient(fit.fit_scale, share, stream)
    displacement = _displacement(fit, exact, errors)
    return GradientAudit(
        audit.params, audit.reference, audit.rows, audit.num_runs + exact.num_runs, displacement
    )


def _audit_estimators(
    bound: BoundOutputs,
    params: Params,
    z: FloatArray,
    gradients: Sequence[AbstractEstimator] | None,
    reference: AbstractReference | None,
    margin: float,
    level: float,
    spending: Spending,
    stream: Stream,
    executor: Any,
    bar: Any,
) -> GradientAudit:
    problem = bound.problem
    tested = Auto().members(problem) if gradients is None else list(gradients)
    for estimator in tested:
        estimator.check(bound)
    labels = [estimator.label for estimator in tested]
    if len(set(labels)) < len(labels):  # members that differ in their settings
        labels = [str(estimator) for estimator in tested]
    probe = stream.child("probe")
    refused = {
        label: str(error)
        for label, estimator in zip(labels, tested, strict=True)
        if (error := _refusal(bound, estimator, z, probe, executor)) is not None
    }
    able = [pair for pair in zip(labels, tested, strict=True) if pair[0] not in refused]
    if not able:
        raise ParameterError(next(iter(refused.values())))
    exact = reference or moments_reference(bound, z)
    rows: list[AuditRow] = []
    names = []
    for i, (name, estimator) in enumerate(able):
        allowance = spending.simulations_left / (len(able) - i)
        source = exact or sampled_reference(bound, estimator, z, probe, executor)
        names.append(source.name)
        rows += look(
            problem, name, SampledGradient(estimator, bound, executor), source, z, margin,
            level / len(able), allowance, spending, stream.child("estimator", i), bar,
        )  # fmt: skip
    notes = () if exact else _why_not_exact(bound)
    return GradientAudit(
        dict(params), "; ".join(dict.fromkeys(names)), tuple(rows), spending.simulations,
        refused=refused, notes=notes,
    )  # fmt: skip


def _refusal(
    bound: BoundOutputs, estimator: AbstractEstimator, z: FloatArray, stream: Stream, executor: Any
) -> ParameterError | DerivativeError | None:
    """Return why an estimator cannot be used at z [P], as a few runs tell, or None if it can."""
    try:
        estimator.estimate(bound, z, 0, stream, executor)
    except (ParameterError, DerivativeError) as error:
        return error
    return None


def _why_not_exact(bound: BoundOutputs) -> tuple[str, ...]:
    models = [binding.model for binding in bound.problem.bindings]
    if all(not isinstance(m, ReactionNetwork) or m.is_jump_process for m in models):
        return ()
    return (
        "There is no exact reference here: finite state projection takes networks of reactions "
        "alone, whose rates only change when one fires.",
    )


def _displacement(
    fit: FitResult, exact: ReferenceGradient, errors: FloatArray
) -> dict[str, tuple[float, float]]:
    """Return parameter → (shift, error) of one exact Newton step, in standard errors."""
    covariance = np.nan_to_num(fit.covariance)
    if not np.all(np.isfinite(exact.errors)):
        return {}
    shift = -covariance @ exact.gradient
    uncertainty = np.sqrt(covariance**2 @ exact.errors**2)
    return {
        name: (float(shift[j] / errors[j]), float(uncertainty[j] / errors[j]))
        for j, name in enumerate(fit.problem.space.names)
        if errors[j] > 0
    }


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _how_wrong(row: AuditRow) -> str:
    if row.reference == 0:
        return "wrong"
    ratio = row.estimate / row.reference
    if ratio < 0:
        return "of the wrong sign"
    if ratio == 0:
        return "zero where it should not be"
    return f"{ratio:.2g} times too large" if ratio > 1 else f"only {ratio:.2g} of what it should be"
