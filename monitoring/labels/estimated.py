"""How good are answers whose labels have not come? An estimate from their scores, with its error.

    estimated(form.binary, answered, sealed)    # {"Accuracy": Interval(0.71, 0.68, 0.74), "LogLoss": ..., "AUC": ...}

Confidence-based performance estimation: where scores are probabilities, each answer tells how likely it is right. The
scores need not be probabilities by themselves. The histogram of scores and outcomes that was sealed at training gives
for each score the share of hits: a calibration map, made ascending by the pool-adjacent-violators algorithm.

**What is assumed**: that among answers with one score as large a share is a hit as there was when the release was
evaluated. Other requests than at training change the estimate as they should; a moved concept does not show in it, for
that needs labels. So the difference between the estimate and what labels then show of the same answers is a measure of
how far the concept has moved.

**The error**: for each measure T with the derivative g_k by the share p_k of bin k, of n_k answers and v_b evaluated
rows in the map's block b,

    variance = sum_k g_k^2 p_k (1 - p_k) / n_k  +  sum_b (sum of g_k in b)^2 p_b (1 - p_b) / v_b,

the first for which of the answers are hits (sampling), the second for how well the map is known (calibration, measured
on the data of the evaluation). If the assumption holds, 95 of 100 such intervals hold what the labels then show.

Sources: NannyML's documentation, "Confidence-based performance estimation"; the map: Zadrozny and Elkan, "Transforming
classifier scores into accurate multiclass probability estimates", KDD 2002; the error: the delta method, van der Vaart,
Asymptotic Statistics (1998), chapter 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.labels.performance import AUC
from monitoring.labels.quality import ACCURACY, LOG_LOSS, WORST_LOG_LOSS
from monitoring.labels.scores import Scores
from monitoring.statistics.intervals import Interval, deviations

FEWEST = 200  # evaluated rows, below which there is no estimate


@dataclass
class _Block:
    """Neighbouring bins with one share of hits: the last bin, rows and hits."""

    last: int
    rows: int
    hits: int

    @property
    def share(self) -> float:
        return self.hits / self.rows


@dataclass(frozen=True)
class _Bin:
    """Answers of one bin: rows, rows that were decided for, mean score, the share that are hits, and its block."""

    rows: int
    decided: int
    score: float
    share: float
    block: int


def estimated(binary: bool, answered: Scores, sealed: Scores) -> dict[str, Interval]:
    """What labels would show of answers.

    Args:
        binary: Whether there are two classes; of more only the accuracy can be estimated.
        answered: The scores of the answers.
        sealed: The scores of the data that the release was evaluated on, with what happened.

    Returns:
        `Accuracy`, and of two classes `LogLoss` and `AUC`; nothing without answers or enough evaluated rows.
    """
    if sealed.rows < FEWEST or not answered.rows:
        return {}
    blocks = _blocks(sealed)
    bins = list(_placed(answered, blocks))
    found = {ACCURACY: _accuracy(bins, blocks)}
    if binary:
        found[LOG_LOSS] = _log_loss(bins, blocks)
        auc = _auc(bins, blocks)
        found |= {AUC: auc} if auc else {}
    return found


def _blocks(sealed: Scores) -> list[_Block]:
    """The calibration map: bins pooled until their shares ascend (pool adjacent violators)."""
    blocks: list[_Block] = []
    for place, rows, _, hits, _ in sealed.bins():
        blocks.append(_Block(place, rows, hits))
        while len(blocks) > 1 and blocks[-2].hits * blocks[-1].rows >= blocks[-1].hits * blocks[-2].rows:
            last = blocks.pop()
            blocks[-1] = _Block(last.last, blocks[-1].rows + last.rows, blocks[-1].hits + last.hits)
    return blocks


def _placed(answered: Scores, blocks: Sequence[_Block]) -> list[_Bin]:
    """Each bin of the answers in its block: the first that does not end before it, or the last one."""
    bins: list[_Bin] = []
    block = 0
    for place, rows, decided, _, score in answered.bins():
        while block < len(blocks) - 1 and blocks[block].last < place:
            block += 1
        bins.append(_Bin(rows, decided, score, blocks[block].share, block))
    return bins


def _accuracy(bins: Sequence[_Bin], blocks: Sequence[_Block]) -> Interval:
    rows = sum(one.rows for one in bins)
    right = sum(one.decided * one.share + (one.rows - one.decided) * (1 - one.share) for one in bins)
    slopes = [(2 * one.decided - one.rows) / rows for one in bins]
    # Within a bin answers are decided both ways: each is right or wrong by itself, whichever way.
    sampling = sum(one.rows * one.share * (1 - one.share) for one in bins) / rows**2
    return _interval(right / rows, sampling + _calibration(bins, slopes, blocks), most=1.0)


def _log_loss(bins: Sequence[_Bin], blocks: Sequence[_Block]) -> Interval:
    rows, value = sum(one.rows for one in bins), 0.0
    slopes: list[float] = []
    for one in bins:
        hit, other = _nats(one.score), _nats(1 - one.score)
        value += one.rows / rows * (one.share * hit + (1 - one.share) * other)
        slopes.append(one.rows / rows * (hit - other))
    return _interval(value, _sampling(bins, slopes) + _calibration(bins, slopes, blocks), most=WORST_LOG_LOSS)


def _nats(probability: float) -> float:
    return min(WORST_LOG_LOSS, -math.log(probability)) if probability > 0 else WORST_LOG_LOSS


def _auc(bins: Sequence[_Bin], blocks: Sequence[_Block]) -> Interval | None:
    """Wrong by at most half of the pairs that share a bin, as `Scores.auc` is: the interval reaches this far."""
    hits, others = [one.rows * one.share for one in bins], [one.rows * (1 - one.share) for one in bins]
    positives, negatives = sum(hits), sum(others)
    if not positives or not negatives:
        return None
    pairs, below, above = positives * negatives, 0.0, positives
    value = tied = 0.0
    changes: list[float] = []
    for one, hit, other in zip(bins, hits, others, strict=True):
        value += hit * (below + other / 2) / pairs
        tied += hit * other / pairs
        changes.append(one.rows * (below + other / 2 - above + hit / 2) / pairs)
        below, above = below + other, above - hit
    whole = value * (1 / positives - 1 / negatives)  # the number of pairs changes as well
    slopes = [change - whole * one.rows for one, change in zip(bins, changes, strict=True)]
    found = _interval(value, _sampling(bins, slopes) + _calibration(bins, slopes, blocks), most=1.0)
    return Interval(value, max(0.0, found.low - tied / 2), min(1.0, found.high + tied / 2))


def _sampling(bins: Sequence[_Bin], slopes: Sequence[float]) -> float:
    return sum(slope**2 * one.share * (1 - one.share) / one.rows for one, slope in zip(bins, slopes, strict=True))


def _calibration(bins: Sequence[_Bin], slopes: Sequence[float], blocks: Sequence[_Block]) -> float:
    of_block = [0.0] * len(blocks)
    for one, slope in zip(bins, slopes, strict=True):
        of_block[one.block] += slope
    # A block whose rows all were hits is not known to be always one: half a hit and half a miss more (Krichevsky and
    # Trofimov, IEEE Trans. Inf. Theory 27, 1981) keep its variance above 0.
    shares = [(block.hits + 0.5) / (block.rows + 1) for block in blocks]
    return sum(
        slope**2 * share * (1 - share) / block.rows
        for slope, share, block in zip(of_block, shares, blocks, strict=True)
    )


def _interval(value: float, variance: float, *, most: float) -> Interval:
    half = deviations() * math.sqrt(variance)
    return Interval(value, max(0.0, value - half), min(most, value + half))
