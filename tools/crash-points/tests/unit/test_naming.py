"""A crash point has the same name for the next order: the name has no random part and no background traffic."""

import struct
from uuid import UUID, uuid4

import pytest

from cafeteria.crash_points.naming import Marks, Named
from cafeteria.crash_points.nats_names import NatsNames
from cafeteria.crash_points.points import Count, Kind, Moment, Point
from cafeteria.crash_points.postgres_frames import PostgresFrame
from cafeteria.crash_points.postgres_names import PostgresNames, statement_name
from cafeteria.crash_points.wire_proxy import Place
from cafeteria.faultkit.nats_frames import NatsFrame
from cafeteria.faultkit.tcp_proxy import Direction

STUDENT = "210041101"
INSERT = "INSERT INTO stock.reservations (order_id) VALUES ($1)"
RESERVATIONS = statement_name(INSERT)
GATEWAY = Place("gateway", "nats")


def pg(kind: str, body: bytes = b"") -> PostgresFrame:
    return PostgresFrame(kind, b"?" + struct.pack("!I", 4 + len(body)) + body)


class Connection:
    """A logged-in connection to Postgres; names have the form `topic:kind`, with `!` if they concern the order."""

    def __init__(self, marks: Marks) -> None:
        self._names = PostgresNames(marks)
        self._names.name(pg("ReadyForQuery", b"I"), Direction.REPLIES)

    def sends(self, *frames: PostgresFrame) -> list[str | None]:
        return [written(self._names.name(frame, Direction.REQUESTS)) for frame in frames]

    def receives(self, *frames: PostgresFrame) -> list[str | None]:
        return [written(self._names.name(frame, Direction.REPLIES)) for frame in frames]

    def prepares(self, name: bytes, sql: str) -> None:
        self.sends(
            pg("Parse", name + b"\0" + sql.encode() + b"\0\0\0"),
            pg("Describe", b"S" + name + b"\0"),
            pg("Flush"),
        )
        self.receives(pg("ParseComplete"), pg("ParameterDescription"), pg("NoData"))

    def executes(self, name: bytes, parameters: bytes = b"") -> list[str | None]:
        return self.sends(pg("Bind", b"\0" + name + b"\0" + parameters), pg("Execute"), pg("Sync"))


def written(named: Named | None) -> str | None:
    return None if named is None else f"{named.topic}:{named.kind}{'!' if named.is_the_orders else ''}"


@pytest.fixture
def marks() -> Marks:
    marks = Marks()
    marks.watch(STUDENT)
    return marks


@pytest.fixture
def postgres(marks: Marks) -> Connection:
    return Connection(marks)


def test_no_message_has_a_name_before_the_login_is_over(marks: Marks) -> None:
    names = PostgresNames(marks)
    assert names.name(pg("StartUp"), Direction.REQUESTS) is None
    assert names.name(pg("Authentication"), Direction.REPLIES) is None
    assert names.name(pg("ReadyForQuery", b"I"), Direction.REPLIES) is None
    assert names.name(pg("Query", b"BEGIN;\0"), Direction.REQUESTS) is not None


def test_a_statement_is_named_after_the_tables_it_writes_or_reads() -> None:
    writes = (
        "WITH a AS (UPDATE gateway.orders SET x = 1 RETURNING id) INSERT INTO gateway.outbox SELECT id FROM a"
    )
    assert statement_name(writes).startswith("orders+outbox.")
    assert statement_name("SELECT x FROM stock.items JOIN stock.inventory ON true FOR UPDATE").startswith(
        "read-items."
    )
    assert statement_name("BEGIN ISOLATION LEVEL READ COMMITTED;") == "begin"
    assert statement_name("COMMIT;") == "commit"


def test_statements_on_the_same_table_have_different_names_and_white_space_is_ignored() -> None:
    assert statement_name("SELECT a FROM x.t") != statement_name("SELECT b FROM x.t")
    assert statement_name("SELECT a\n  FROM x.t") == statement_name("SELECT a FROM x.t")


def test_preparing_a_statement_has_a_topic_of_its_own(postgres: Connection) -> None:
    parse = pg("Parse", b"s1\0" + INSERT.encode() + b"\0\0\0")
    assert postgres.sends(parse, pg("Describe"), pg("Flush")) == [
        f"prepare-{RESERVATIONS}:Parse",
        f"prepare-{RESERVATIONS}:Describe",
        f"prepare-{RESERVATIONS}:Flush",
    ]
    assert postgres.receives(pg("ParseComplete"), pg("ParameterDescription"), pg("NoData")) == [
        f"prepare-{RESERVATIONS}:ParseComplete",
        f"prepare-{RESERVATIONS}:ParameterDescription",
        f"prepare-{RESERVATIONS}:NoData",
    ]
    assert postgres.executes(b"s1") == [f"{RESERVATIONS}:{kind}" for kind in ("Bind", "Execute", "Sync")]


def test_a_reply_is_named_after_its_request_also_when_requests_are_pipelined(postgres: Connection) -> None:
    postgres.prepares(b"s1", INSERT)
    postgres.prepares(b"s2", "SELECT a FROM stock.items")
    postgres.executes(b"s1")
    postgres.executes(b"s2")
    items = statement_name("SELECT a FROM stock.items")
    assert postgres.receives(
        *(pg("BindComplete"), pg("CommandComplete"), pg("ReadyForQuery", b"I")),
        *(pg("BindComplete"), pg("DataRow"), pg("CommandComplete"), pg("ReadyForQuery", b"I")),
    ) == [
        *(f"{RESERVATIONS}:{kind}" for kind in ("BindComplete", "CommandComplete", "ReadyForQuery")),
        *(f"{items}:{kind}" for kind in ("BindComplete", "DataRow", "CommandComplete", "ReadyForQuery")),
    ]


def test_after_an_error_the_requests_before_the_sync_get_no_reply(postgres: Connection) -> None:
    postgres.prepares(b"s1", INSERT)
    postgres.executes(b"s1")
    assert postgres.receives(pg("ErrorResponse"), pg("ReadyForQuery", b"I")) == [
        f"{RESERVATIONS}:ErrorResponse",
        f"{RESERVATIONS}:ReadyForQuery",
    ]
    assert postgres.sends(pg("Query", b"COMMIT;\0")) == ["commit:Query"]
    assert postgres.receives(pg("CommandComplete")) == ["commit:CommandComplete"]


def test_queries_of_the_driver_about_types_have_no_name(postgres: Connection) -> None:
    assert postgres.sends(pg("Parse", b"s9\0SELECT oid FROM pg_catalog.pg_type\0\0\0")) == [None]
    assert postgres.receives(pg("ParseComplete")) == [None]
    assert postgres.executes(b"s9") == [None, None, None]


def test_a_transaction_concerns_the_order_from_its_first_mention_to_the_end(postgres: Connection) -> None:
    postgres.prepares(b"s1", INSERT)
    assert postgres.sends(pg("Query", b"BEGIN;\0")) == ["begin:Query"]
    postgres.receives(pg("CommandComplete"), pg("ReadyForQuery", b"T"))
    assert postgres.executes(b"s1", STUDENT.encode())[2] == f"{RESERVATIONS}:Sync!"
    postgres.receives(pg("BindComplete"), pg("CommandComplete"), pg("ReadyForQuery", b"T"))
    assert postgres.sends(pg("Query", b"COMMIT;\0")) == ["commit:Query!"]
    assert postgres.receives(pg("CommandComplete"), pg("ReadyForQuery", b"I")) == [
        "commit:CommandComplete!",
        "commit:ReadyForQuery!",
    ]
    assert postgres.sends(pg("Query", b"BEGIN;\0")) == ["begin:Query"]


def test_a_row_of_another_order_in_the_same_reply_does_not_concern_the_order(postgres: Connection) -> None:
    postgres.prepares(b"s1", "SELECT a FROM gateway.outbox")
    postgres.executes(b"s1")
    outbox = statement_name("SELECT a FROM gateway.outbox")
    assert postgres.receives(
        pg("BindComplete"), pg("DataRow", STUDENT.encode()), pg("DataRow", b"other"), pg("CommandComplete")
    ) == [f"{outbox}:BindComplete", f"{outbox}:DataRow!", f"{outbox}:DataRow", f"{outbox}:CommandComplete!"]


def nats(verb: str, subject: str, *, answer_to: str = "", body: bytes = b"") -> NatsFrame:
    return NatsFrame(verb=verb, raw=body, subject=subject, answer_to=answer_to, body=body)


def test_a_reply_is_named_after_its_request_in_both_roles(marks: Marks) -> None:
    names = NatsNames(marks)
    request = nats("HPUB", "stock.rpc.v1.reserve", answer_to="_INBOX_gateway.Xb3.7")
    assert written(names.name(request, Direction.REQUESTS)) == "stock.rpc.v1.reserve:HPUB"
    reply = nats("MSG", "_INBOX_gateway.Xb3.7")
    assert written(names.name(reply, Direction.REPLIES)) == "answer-to-stock.rpc.v1.reserve:MSG"


def test_an_acknowledgement_concerns_the_order_if_its_message_did(marks: Marks) -> None:
    names = NatsNames(marks)
    ack = "$JS.ACK.KITCHEN.kitchen-work.1.7.7.1700000000000000000.0"
    names.name(
        nats("HMSG", "kitchen.work.v1.placed", answer_to=ack, body=STUDENT.encode()), Direction.REPLIES
    )
    name = written(names.name(nats("PUB", ack, body=b"+ACK"), Direction.REQUESTS))
    assert name == "ack-KITCHEN.kitchen-work:PUB!"


def test_random_parts_of_a_subject_are_not_in_the_name(marks: Marks) -> None:
    names = NatsNames(marks)
    pull = nats("PUB", "STREAMS.API.CONSUMER.MSG.NEXT.NOTIFICATION.notification-reader-07")
    assert written(names.name(pull, Direction.REQUESTS)) == (
        "STREAMS.API.CONSUMER.MSG.NEXT.NOTIFICATION.notification-reader-*:PUB"
    )


def test_pings_have_no_name(marks: Marks) -> None:
    assert NatsNames(marks).name(NatsFrame(verb="PING", raw=b"PING\r\n"), Direction.REPLIES) is None


def test_the_order_id_is_learned_from_a_message_that_names_its_student(marks: Marks) -> None:
    mine, other = uuid4(), uuid4()
    marks.learn(f'{{"order_id":"{other}","student_id":"another student"}}'.encode())
    marks.learn(f'{{"order_id":"{mine}","student_id":"{STUDENT}"}}'.encode())
    assert marks.occur_in(b"..." + mine.bytes + b"...")
    assert marks.occur_in(str(mine).encode())
    assert not marks.occur_in(str(other).encode())


@pytest.mark.parametrize("field", ["orders", "events"])
def test_only_the_watched_order_of_a_message_about_many_is_learned(marks: Marks, field: str) -> None:
    mine, other = uuid4(), uuid4()
    body = (
        f'{{"{field}":[{{"order_id":"{other}","student_id":"another student"}},'
        f'{{"order_id":"{mine}","student_id":"{STUDENT}","lines":[]}}]}}'
    )
    marks.learn(body.encode())
    assert marks.occur_in(mine.bytes)
    assert not marks.occur_in(other.bytes)


def test_an_invalid_message_teaches_no_order_id(marks: Marks) -> None:
    marks.learn(f"{STUDENT} {{".encode())
    marks.learn(f'["{STUDENT}"]'.encode())
    assert marks.occur_in(STUDENT.encode())


def test_only_the_next_student_is_watched(marks: Marks) -> None:
    order_id = UUID(int=7)
    marks.learn(f'{{"order_id":"{order_id}","student_id":"{STUDENT}"}}'.encode())
    marks.watch("210041102")
    assert not marks.occur_in(STUDENT.encode())
    assert not marks.occur_in(order_id.bytes)


def named(topic: str, *, is_the_orders: bool = False) -> Named:
    return Named(topic=topic, kind="HPUB", is_the_orders=is_the_orders)


def test_background_traffic_counts_only_if_it_concerns_the_order() -> None:
    count = Count(frozenset({(GATEWAY, "availability")}))
    numbers = [
        count.number(GATEWAY, Direction.REQUESTS, message)
        for message in (
            named("availability"),
            named("availability", is_the_orders=True),
            named("reserve"),
            named("reserve"),
            named("prepare-availability"),
            named("STREAMS.API.CONSUMER.MSG.NEXT.KITCHEN.kitchen-work"),
        )
    ]
    assert [number and number[1] for number in numbers] == [None, 1, 1, 2, None, None]


def test_the_name_of_a_point_contains_its_place_and_moment() -> None:
    kind = Kind("kitchen", "postgres", Direction.REPLIES, "kitchen_orders.77b:DataRow")
    point = Point("order", kind, 2, Moment.AFTER)
    assert str(point) == "order/kitchen/from-postgres/kitchen_orders.77b:DataRow/2/after"
