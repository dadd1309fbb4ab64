"""The rows of every report of the order flow."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from cafeteria.bench.flow import Flow, Round
from cafeteria.bench.interleaving import Interleaving
from cafeteria.bench.report import Report, Row, Series, row_from

Rounds = Mapping[str, Sequence[Round]]

RATE = "1/s"
ACCEPTED = "orders accepted"
CARRIED = "orders carried to READY"
CARRIED_SHARE = "carried of accepted"
CPU = "CPU per order"
PIECE = "machine: a fixed piece of work"
PROCESSES = ("gateway", "stock", "kitchen", "notification", "identity", "postgres", "nats")


def flow_report(
    name: str,
    measures: str,
    flow: Flow,
    interleaving: Interleaving,
    *,
    rows: Sequence[Row] = (),
) -> Report:
    """Return the report of rounds of the order flow; `rows` follow those that all such reports have."""
    return Report(
        name=name,
        measures=measures,
        settings=settings_of(flow, interleaving),
        rows=(*flow_rows(interleaving.rounds), *rows),
        remarks=tuple(interleaving.remarks),
    )


def flow_rows(rounds: Rounds) -> tuple[Row, ...]:
    """Return rates, answer times, CPU by process, and the machine's figures."""
    return (*_rates(rounds), *_cpu(rounds), *machine_rows(rounds))


def settings_of(flow: Flow, interleaving: Interleaving) -> dict[str, str]:
    rounds = max(len(of_one) for of_one in interleaving.rounds.values())
    return {
        "seconds": f"{flow.seconds:g}",
        "rounds": str(rounds),
        "connections": str(flow.connections),
        "items": str(len(flow.items)),
        "event streams": "100" if flow.with_streams else "0",
        "fsync": "on",
        "synchronous_commit": "on",
        "sync_interval": "always",
    }


def _rates(rounds: Rounds) -> list[Row]:
    return [
        row_from(ACCEPTED, RATE, rounds, lambda each: each.load.accepted_per_s),
        row_from(CARRIED, RATE, rounds, lambda each: each.carried_per_s),
        row_from(
            CARRIED_SHARE, "", rounds, lambda each: each.carried_per_s / max(1, each.load.accepted_per_s)
        ),
        row_from("answer, median", "ms", rounds, lambda each: each.load.p50_ms),
        row_from("answer, 99 %", "ms", rounds, lambda each: each.load.p99_ms),
        row_from("afterwards, until all is carried", "s", rounds, lambda each: each.drain_s),
    ]


def _cpu(rounds: Rounds) -> list[Row]:
    return [
        row_from(CPU, "µs", rounds, lambda each: sum(each.cpu_us().values())),
        *(row_from(f"  {process}", "µs", rounds, _of_service(process)) for process in PROCESSES),
    ]


def machine_rows(rounds: Rounds) -> list[Row]:
    return [
        row_from(
            "generator", "µs", rounds, lambda each: each.usage.generator_s / max(1, each.load.accepted) * 1e6
        ),
        row_from(PIECE, "µs", rounds, lambda each: each.piece_us),
        row_from("machine: stolen", "%", rounds, lambda each: each.usage.steal * 100),
        row_from("machine: neighbours", "%", rounds, lambda each: each.usage.others * 100),
        row_from("machine: load average", "", rounds, lambda each: each.usage.load_average),
    ]


def at_one_speed(report: Report, what: str, *, by_piece: str = PIECE) -> Row:
    """Return the row corrected to one speed of the machine in all rounds, by the time of the piece of work."""
    row, piece = report.row(what), report.row(by_piece)
    usual = median(value for series in piece.by.values() for value in series.values)
    by = {}
    for name, series in row.by.items():
        slowness = [value / usual for value in piece.by[name].values]
        pairs = zip(series.values, slowness, strict=True)
        by[name] = Series(tuple(value * slow if row.unit == RATE else value / slow for value, slow in pairs))
    return Row(what=row.what, unit=row.unit, by=by)


def _of_service(service: str) -> Callable[[Round], float]:
    """Return the figure: CPU for an order of all replicas of the service."""
    return lambda each: sum(us for name, us in each.cpu_us().items() if name.partition("-")[0] == service)
