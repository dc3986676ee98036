"""The result of `compare_models`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tumble._errors import ParameterError, require_known
from tumble._fit_result import FitResult
from tumble._results import ResultCode
from tumble.structure._criteria import AbstractCriterion, Score

# Kass and Raftery's words for odds of two models, from these values on.
_GRADES = ((150.0, "very strong"), (20.0, "strong"), (3.0, "positive"))
_COUNTLESS = 1e6
_NOTABLE_ERROR = 0.2


@dataclass(frozen=True)
class WeighedModel:
    """One of the models: ``name``, ``prior`` and posterior ``probability``, and its ``score``.

    ``likelihood``, by which it was weighed, and ``priors`` of its parameters, in words.
    """

    name: str
    prior: float
    probability: float
    score: Score
    likelihood: str
    priors: tuple[str, ...]

    @property
    def weighed(self) -> bool:
        """Whether it has a score: False where its fit or its integral failed."""
        return not math.isnan(self.score.log_score)

    @property
    def fit(self) -> FitResult | None:
        """The best fit."""
        return self.score.fit


@dataclass(frozen=True, repr=False)
class ModelComparison:
    """Which of several models explains the data, and how firmly.

    Attributes:

    - ``models``: `WeighedModel` objects, most probable first, those that failed last.
    - ``criterion``: by what they were weighed. ``seconds`` that it took.

    ``comparison["SIR"]`` is the model of that name.
    """

    models: tuple[WeighedModel, ...]
    criterion: AbstractCriterion
    seconds: float

    @property
    def best(self) -> WeighedModel:
        """The most probable model."""
        return self.models[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, most probable first."""
        return tuple(m.name for m in self.models)

    @property
    def probabilities(self) -> dict[str, float]:
        """The probability of each model; 0 for those that failed."""
        return {m.name: m.probability for m in self.models}

    @property
    def log_scores(self) -> dict[str, float]:
        """The score of each model, such as its log evidence; NaN for those that failed."""
        return {m.name: m.score.log_score for m in self.models}

    @property
    def fits(self) -> dict[str, FitResult]:
        """The best fits, as far as there are any."""
        return {m.name: m.fit for m in self.models if m.fit is not None}

    def __getitem__(self, name: str) -> WeighedModel:
        require_known([name], self.names, what="there is no model", owner="the comparison",
                      error=ParameterError)  # fmt: skip
        return self.models[self.names.index(name)]

    @property
    def result(self) -> ResultCode:
        """``SUCCESS``, or what went wrong first: of the models that failed, or of integrals."""
        codes = [m.score.result for m in self.models]
        if ResultCode.INTERRUPTED in codes:
            return ResultCode.INTERRUPTED
        if not all(m.weighed for m in self.models):
            return ResultCode.PARTIAL
        return next((c for c in codes if not c.ok), ResultCode.SUCCESS)

    @property
    def odds(self) -> dict[str, float]:
        """How many times as probable as each other model the best one is."""
        best = self.best
        found = {}
        for m in self.models[1:]:
            if m.weighed and m.probability > 0:
                found[m.name] = best.probability / m.probability
            elif m.weighed:
                found[m.name] = math.inf
        return found

    @property
    def differences(self) -> tuple[str, ...]:
        """The best model beside each other one, in words."""
        best, sentences = self.best, []
        for name, odds in self.odds.items():
            error = math.hypot(best.score.standard_error, self[name].score.standard_error)
            factor = f", to a factor of {math.exp(error):.2g}" if error > _NOTABLE_ERROR else ""
            if math.isinf(odds) and self[name].prior > 0:
                sentences.append(f"{name} cannot have made the data, or next to never")
            elif odds < _GRADES[-1][0]:
                sentences.append(
                    f"{best.name} and {name} are hardly told apart ({odds:.2g} to 1{factor})"
                )
            else:
                grade = next(words for least, words in _GRADES if odds >= least)
                times = "more than a million" if odds > _COUNTLESS else _two_digits(odds)
                sentences.append(
                    f"{best.name} is {times} times as probable as {name} ({grade}{factor})"
                )
        return tuple(sentences)

    def summary(self) -> str:
        """Return the comparison on one screen."""
        weighed = [m for m in self.models if m.weighed]
        likelihoods = " and ".join(dict.fromkeys(m.likelihood for m in weighed))
        lines = [
            f"Models: {self.differences[0] if self.differences else self.best.name + ' alone'}",
            f"  by {self.criterion.score_name} · likelihood: {likelihoods} · {self.seconds:.1f} s",
        ]
        wide = max(len(m.name) for m in self.models)
        wide = max(wide, len("model"))
        label = self.criterion.score_name
        lines.append(f"  {'model':{wide}}  probability  prior  {label:>16}  unknowns  fit")
        for m in weighed:
            score = m.score
            number = f"{score.log_score:.2f} ± {score.standard_error:.2f}"
            unknowns = 0 if m.fit is None else m.fit.problem.space.size
            ended = "" if m.fit is None else m.fit.result.value
            lines.append(
                f"  {m.name:{wide}}  {m.probability:11.4f}  {m.prior:5.2f}  "
                f"{number:>{max(len(label), 16)}}  {unknowns:8}  {ended}"
            )
        lines += [f"  {words}" for words in self.differences[1:]]
        lines += [
            f"  {m.name} was not weighed: {m.score.reason} ({m.score.result.value})"
            for m in self.models if not m.weighed
        ]  # fmt: skip
        lines += [
            f"  {m.name}: {m.score.reason} ({m.score.result.value})"
            for m in weighed if not m.score.result.ok
        ]  # fmt: skip
        lines += [f"  {m.name}: {note}" for m in weighed for note in m.score.notes]
        words = dict.fromkeys(w for m in weighed for w in m.priors)
        lines.append(f"  priors: {'; '.join(words)}" if words else "  nothing is unknown")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.summary())}</pre>"

    def citations(self) -> tuple[str, ...]:
        """What to cite for the methods that made this result."""
        fits = [c for f in self.fits.values() for c in f.citations()]
        return tuple(dict.fromkeys([*self.criterion.citations, *fits]))

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the data as plain data; numbers that are not finite are None."""
        return {
            "result": self.result.name,
            "criterion": str(self.criterion),
            "score": self.criterion.score_name,
            "differences": list(self.differences),
            "seconds": self.seconds,
            "models": [_entry(m) for m in self.models],
        }

    def save(self, path: str | Path) -> Path:
        """Write `to_dict` as JSON; return the path."""
        target = Path(path)
        target.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return target


def ranked(
    scores: Mapping[str, Score],
    prior: Mapping[str, float],
    words: Mapping[str, tuple[str, tuple[str, ...]]],
) -> tuple[WeighedModel, ...]:
    """Return the models with their probabilities, most probable first, those that failed last.

    Arguments: ``scores``, normalized ``prior`` and ``words``, likelihood and priors, by name.
    """
    logs = {
        name: s.log_score + math.log(prior[name]) if prior[name] > 0 else -math.inf
        for name, s in scores.items() if not math.isnan(s.log_score)
    }  # fmt: skip
    top = max(logs.values(), default=-math.inf)
    shares = {k: math.exp(v - top) if math.isfinite(v) else 0.0 for k, v in logs.items()}
    total = sum(shares.values()) or 1.0
    models = [
        WeighedModel(name, prior[name], shares.get(name, 0.0) / total, score, *words[name])
        for name, score in scores.items()
    ]
    return tuple(sorted(models, key=lambda m: (not m.weighed, -m.probability, -_order(m))))


def _order(model: WeighedModel) -> float:
    return float(np.nan_to_num(model.score.log_score, nan=-np.inf, neginf=-1e300))


def _two_digits(value: float) -> str:
    digits = max(-math.floor(math.log10(value)) + 1, 0)
    return f"{round(value, 1 - math.floor(math.log10(value))):,.{digits}f}"


def _entry(model: WeighedModel) -> dict[str, Any]:
    score, fitted = model.score, model.fit
    return {
        "name": model.name,
        "prior": model.prior,
        "probability": model.probability,
        "log_score": _finite(score.log_score),
        "standard_error": _finite(score.standard_error),
        "laplace": _finite(score.laplace),
        "likelihood": model.likelihood,
        "priors": list(model.priors),
        "result": score.result.name,
        "reason": score.reason,
        "notes": list(score.notes),
        "fit": None if fitted is None else {
            "result": fitted.result.name,
            "loss": _finite(fitted.loss),
            "params": {k: np.asarray(v).tolist() for k, v in fitted.params.items()},
        },
        "posterior": {
            e.name: {"median": e.value, "interval": list(e.interval)} for e in score.posterior
        },
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
