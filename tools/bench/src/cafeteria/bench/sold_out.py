"""Benchmark: answers a second when an item is sold out: from memory, after one grouped query for the keys."""

from collections.abc import Callable, Sequence

from cafeteria.bench.environment import open_environment
from cafeteria.bench.flow import Flow, Round
from cafeteria.bench.interleaving import PRODUCT, Contender, interleave, on_empty_tables
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, Row, row_of
from cafeteria.bench.tables import machine_rows, settings_of

NAME = "sold-out"
MEASURES = "answers a second when nothing is left, beside orders accepted"

SECONDS, ROUNDS, CONNECTIONS = 10.0, 3, 64
LEAST_OF_ACCEPTED = 1.5
ACCEPTED, SOLD_OUT = "accepted", "sold out"
OUT_OF_STOCK = 409
ANSWERS, WRITTEN = "answers", "orders written"


async def run(options: Options) -> Report:
    rounds = options.rounds or ROUNDS
    async with open_environment(options) as environment:
        seconds, connections = options.seconds or SECONDS, options.connections or CONNECTIONS
        some = Flow(seconds=seconds, connections=connections, items=environment.items)
        none = Flow(seconds=seconds, connections=connections, items=environment.items, portions=0)
        contenders = [
            Contender(name=ACCEPTED, system=PRODUCT, flow=some),
            Contender(name=SOLD_OUT, system=PRODUCT, flow=none),
        ]
        interleaving = await interleave(contenders, on_empty_tables(environment, options), rounds=rounds)
    report = Report(
        name=NAME,
        measures=MEASURES,
        settings=settings_of(some, interleaving),
        rows=(*_rows(interleaving.rounds), *machine_rows(interleaving.rounds)),
        remarks=tuple(interleaving.remarks),
    )
    return report.with_ratios(
        Ratio.between(
            "sold-out answers, of orders accepted",
            report.row(ANSWERS),
            of=SOLD_OUT,
            to=ACCEPTED,
            target=LEAST_OF_ACCEPTED,
        ),
        Ratio(
            what="orders written for what was sold out",
            values=report.row(WRITTEN).by[SOLD_OUT],
            target=0,
            at_least=False,
        ),
    )


def _rows(rounds: dict[str, list[Round]]) -> Sequence[Row]:
    answered = {
        ACCEPTED: lambda each: each.load.accepted,
        SOLD_OUT: lambda each: each.load.answers.get(OUT_OF_STOCK, 0),
    }

    def row(what: str, unit: str, figure: Callable[[Round, int], float]) -> Row:
        figures = {
            name: [figure(each, answered[name](each)) for each in of_one] for name, of_one in rounds.items()
        }
        return row_of(what, unit, figures)

    return [
        row(ANSWERS, "1/s", lambda each, answers: answers / each.load.seconds),
        row("CPU for each", "µs", lambda each, answers: each.cpu_s_in_all / max(1, answers) * 1e6),
        row("answer, median", "ms", lambda each, _: each.load.p50_ms),
        row("answer, 99 %", "ms", lambda each, _: each.load.p99_ms),
        row(WRITTEN, "", lambda each, _: each.stored.orders),
    ]
