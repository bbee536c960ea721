"""Has the concept moved? Bets on the losses of labelled answers, with a stated time to a false alarm.

    tolerated = Tolerated("LogLoss", mean=0.54, high=5.0, labels=1_000_000)
    seen = Bets()
    seen = seen.take(tolerated, [(0.31, at), (2.2, at), ...])   # losses, and when the answers were given
    seen.evidence(tolerated), seen.since                        # 1.0 is an alarm; when the change began, by estimate

**The null hypothesis** is that each loss, given those before it, has a mean of at most `mean`: that of the data that
the release was evaluated on, sealed in its package, and what is tolerated above it. Of the losses' distribution
nothing is assumed but that they lie between 0 and `high`. With x and m the loss and the tolerated mean divided by
`high`, a bet of l on a loss pays

    e = 1 + l (x - m),    0 <= l < 1 / m,

which is never negative and has an expectation of at most 1: an e-value. Six bets are kept, l m = 1/2, 1/4 ... 1/64; the
larger ones find large changes soon, the smaller ones small changes at all.

**Change at an unknown time**: at every label one more unit is staked, W_n = (1 + W_{n-1}) e_n, the Shiryaev-Roberts
e-detector with these baseline increments, and an average of e-detectors is one. So, with an alarm at W = `labels`,

    the mean number of labels to a false alarm is at least `labels`,
    and P(a false alarm within n labels) <= n / labels.

**When the change began**: each bet's CUSUM, C_n = max(1, C_{n-1}) e_n, last began anew where its own likelihood says
that the change is; that of the bet whose CUSUM is greatest is told.

**What the order matters for.** The promise holds in whatever order labels are taken, as long as the order does not look
at the losses. The evidence itself depends on the order: a product of payments does not, a change point does. Who calls
sorts what comes together by the time of the answers; so it makes no difference in which order these arrived. Between
calls the order of arrival counts.

**What it does not say.** A day on which the model is really worse (a storm) is a change, too: the null hypothesis is
about each loss given those before it. Evidence falls again when the losses do, and is cut off at twice the alarm, so
that an alarm ends soon after its cause.

Sources: Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", NEJSDS 2
(2023), arXiv:2203.03532; the bets: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting",
JRSS B 86 (2024), arXiv:2010.09686.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from monitoring.performance import Performance
from monitoring.profile import a_count, a_list, a_number, an_object
from monitoring.quality import Form

FRACTIONS = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)
"""Of the most that can be staked."""
MOST = 2.0  # times the alarm
_LEAST = 1e-3  # of `high`: a model that made no error at all when it was evaluated may make some
_GREATEST = 0.99


@dataclass(frozen=True)
class Tolerated:
    """What losses are held against.

    Attributes:
        loss: Its name, see `quality.Form.loss`.
        mean: The mean that is tolerated, in (0, high).
        high: The most that a loss can be.
        labels: Mean number of labels to a false alarm, at least.
    """

    loss: str
    mean: float
    high: float
    labels: float

    @classmethod
    def of(cls, form: Form, sealed: Performance, rise: float, labels: float) -> Tolerated | None:
        """What is tolerated of a release; None when no loss was sealed.

        Args:
            form: The form of its predictions.
            sealed: Its performance when it was evaluated.
            rise: By which share of the sealed mean the loss may rise.
            labels: Mean number of labels to a false alarm.
        """
        loss, high = form.loss
        mean = sealed.mean(loss)
        if mean is None:
            return None
        return cls(loss, min(max(mean * (1 + rise), _LEAST * high), _GREATEST * high), high, labels)


@dataclass(frozen=True)
class Bets:
    """What the losses so far have shown.

    Attributes:
        taken: How many losses were taken.
        wealth: Of each bet of `FRACTIONS`, with one more unit staked at each loss.
        runs: Of each bet, its CUSUM.
        began: Of each bet, when the answer was given at which its CUSUM last began anew.
    """

    taken: int = 0
    wealth: tuple[float, ...] = (0.0,) * len(FRACTIONS)
    runs: tuple[float, ...] = (0.0,) * len(FRACTIONS)
    began: tuple[float, ...] = (0.0,) * len(FRACTIONS)

    def take(self, tolerated: Tolerated, losses: Iterable[tuple[float, float]]) -> Bets:
        """Bet on losses, in this order.

        Args:
            tolerated: What they are held against.
            losses: Each with the time of its answer, epoch seconds.
        """
        wealth, runs, began, taken = list(self.wealth), list(self.runs), list(self.began), self.taken
        most, mean = MOST * tolerated.labels, tolerated.mean / tolerated.high
        stakes = [(place, fraction / mean) for place, fraction in enumerate(FRACTIONS)]
        for loss, at in losses:
            over = min(max(loss / tolerated.high, 0.0), 1.0) - mean
            for place, stake in stakes:
                paid = 1.0 + stake * over
                wealth[place] = min((1.0 + wealth[place]) * paid, most)
                if runs[place] <= 1.0:
                    runs[place], began[place] = 1.0, at
                runs[place] = min(runs[place] * paid, most)
            taken += 1
        return Bets(taken, tuple(wealth), tuple(runs), tuple(began))

    def evidence(self, tolerated: Tolerated) -> float:
        """That the mean loss has risen above the tolerated one: 1 and more is an alarm."""
        return sum(self.wealth) / len(self.wealth) / tolerated.labels

    @property
    def since(self) -> float | None:
        """When the change began, if there was one: epoch seconds; None when nothing speaks for one."""
        best = max(range(len(self.runs)), key=self.runs.__getitem__)
        return self.began[best] if self.runs[best] > 1.0 else None

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"taken": self.taken, "wealth": [*self.wealth], "runs": [*self.runs], "began": [*self.began]}

    @classmethod
    def from_dict(cls, value: object, name: str = "concept") -> Bets:
        """Read `as_dict`.

        Raises:
            ValueError: It is of another form.
        """
        body = an_object(value, name)
        numbers = {
            key: tuple(a_number(item, f"{name}.{key}") for item in a_list(body.get(key), f"{name}.{key}"))
            for key in ("wealth", "runs", "began")
        }
        if {len(item) for item in numbers.values()} != {len(FRACTIONS)}:
            raise ValueError(f"{name}: expected {len(FRACTIONS)} numbers of each kind, one a bet")
        return cls(a_count(body.get("taken"), f"{name}.taken"), **numbers)
