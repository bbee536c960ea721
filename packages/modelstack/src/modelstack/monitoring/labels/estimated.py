"""Estimates of quality before labels come, from scores, with confidence intervals.

Confidence-based performance estimation: the sealed histogram of scores and outcomes maps each score to a share of
hits, made ascending by the pool-adjacent-violators algorithm. It assumes that this share is still that of the
evaluation. Inputs may change; a changed concept shows only in labels, as a difference from the estimate.

For a measure with the derivative g_k by the share p_k of bin k, of n_k answers and v_b evaluated rows in block b,

    variance = sum_k g_k^2 p_k (1 - p_k) / n_k  +  sum_b (sum of g_k in b)^2 p_b (1 - p_b) / v_b,

the first term for sampling, the second for calibration. Under the assumption, intervals cover 95% of realised values.

Sources: NannyML's documentation, "Confidence-based performance estimation"; Zadrozny and Elkan, "Transforming
classifier scores into accurate multiclass probability estimates", KDD 2002; the delta method, van der Vaart,
Asymptotic Statistics (1998), chapter 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelstack.monitoring.labels.performance import AUC
from modelstack.monitoring.labels.quality import ACCURACY, LOG_LOSS, WORST_LOG_LOSS
from modelstack.monitoring.labels.scores import Scores
from modelstack.monitoring.statistics.intervals import Interval, deviations

FEWEST = 200  # evaluated rows for an estimate


@dataclass
class _Block:
    """Neighbouring bins pooled into one share of hits, up to bin `last`."""

    last: int
    rows: int
    hits: int

    @property
    def share(self) -> float:
        return self.hits / self.rows


@dataclass(frozen=True)
class _Bin:
    """Answers of one bin: rows, rows decided for, mean score, share of hits, and its block."""

    rows: int
    decided: int
    score: float
    share: float
    block: int


def estimated(binary: bool, answered: Scores, sealed: Scores) -> dict[str, Interval]:
    """Estimated `Accuracy`, and of a binary model `LogLoss` and `AUC`; empty without answers or enough evaluated rows.

    `answered` holds the scores of the answers, `sealed` those of the evaluation with outcomes.
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
    """Pool adjacent violators."""
    blocks: list[_Block] = []
    for place, rows, _, hits, _ in sealed.bins():
        blocks.append(_Block(place, rows, hits))
        while len(blocks) > 1 and blocks[-2].hits * blocks[-1].rows >= blocks[-1].hits * blocks[-2].rows:
            last = blocks.pop()
            blocks[-1] = _Block(last.last, blocks[-1].rows + last.rows, blocks[-1].hits + last.hits)
    return blocks


def _placed(answered: Scores, blocks: Sequence[_Block]) -> list[_Bin]:
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
    # Each answer of a bin is right or wrong by itself, however it was decided.
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
    """Pairs within a bin have an unknown order, as in `Scores.auc`: the interval is widened by half of them."""
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
    # Half a hit and half a miss more (Krichevsky and Trofimov, IEEE Trans. Inf. Theory 27, 1981) keep the variance
    # of a block with only hits above 0.
    shares = [(block.hits + 0.5) / (block.rows + 1) for block in blocks]
    return sum(
        slope**2 * share * (1 - share) / block.rows
        for slope, share, block in zip(of_block, shares, blocks, strict=True)
    )


def _interval(value: float, variance: float, *, most: float) -> Interval:
    half = deviations() * math.sqrt(variance)
    return Interval(value, max(0.0, value - half), min(most, value + half))
