"""How good the quotes were: each finished ticket counts once, when its move is committed.

Orders that began at once are counted apart: their quote says only how long cooking takes.
"""

from collections import deque
from collections.abc import Iterable

from cafeteria.chassis.observability import metrics
from cafeteria.kitchen.domain import Move, QuoteOutcome
from cafeteria.kitchen.throughput import quantile

RECENT = 500  # quotes in the figures of the operator's page
ERROR_BUCKETS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)

ERROR_RATIO = metrics.histogram(
    "cafeteria_kitchen_quote_error_ratio",
    "Distance of the quote's middle from the real time, divided by the real time or 5 s, whichever is more",
    "began",
    buckets=ERROR_BUCKETS,
)
QUOTES = metrics.counter(
    "cafeteria_kitchen_quotes_total", "Quotes of tickets that are ready, by outcome", "outcome", "began"
)
ERROR_MEDIAN = metrics.gauge(
    "cafeteria_kitchen_quote_error_median", f"Median of the error ratio of the last {RECENT} quotes"
)
ERROR_P90 = metrics.gauge(
    "cafeteria_kitchen_quote_error_p90", f"90th percentile of the error ratio of the last {RECENT} quotes"
)
IN_RANGE = metrics.gauge(
    "cafeteria_kitchen_quote_in_range", f"Share of the last {RECENT} quotes whose range held the real time"
)


class QuoteOutcomes:
    """Observes the quotes of finished tickets. The figures do not exist before the first one."""

    def __init__(self) -> None:
        self._recent = deque[tuple[float, bool]](maxlen=RECENT)

    def observe(self, moves: Iterable[Move]) -> None:
        """Judge the quotes of tickets that became ready. Call it after the commit."""
        ready = [(move.quote, move.at) for move in moves if move.quote is not None]
        if not ready:
            return
        for quote, at in ready:
            error, outcome = quote.error_ratio(at), quote.outcome(at)
            began = "at_once" if quote.at_once else "waited"
            ERROR_RATIO.labels(began).observe(error)
            QUOTES.labels(outcome, began).inc()
            self._recent.append((error, outcome is QuoteOutcome.IN_RANGE))
        self._show()

    def _show(self) -> None:
        errors = sorted(error for error, _ in self._recent)
        ERROR_MEDIAN.metric().set(quantile(errors, 0.5))
        ERROR_P90.metric().set(quantile(errors, 0.9))
        IN_RANGE.metric().set(sum(held for _, held in self._recent) / len(self._recent))
