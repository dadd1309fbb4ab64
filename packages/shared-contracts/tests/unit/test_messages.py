"""Every message is a value: it cannot change, is built by keyword only, and validates its fields."""

# ruff: noqa: RUF001 - letters of other scripts that look like Latin ones

import inspect
import pkgutil
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from cafeteria import contracts
from cafeteria.contracts import gateway, stock, subjects, values

ON_THE_BUS = (
    *(kind for rpc in subjects.RPCS for kind in (rpc.request, rpc.reply)),
    *(topic.body for topic in subjects.TOPICS),
)


def test_every_module_of_the_package_is_tested(messages: dict[str, type]) -> None:
    modules = {module.name for module in pkgutil.iter_modules(contracts.__path__)}
    assert modules - {"channels", "subjects"} == {key.partition("/")[0] for key in messages}


def test_a_message_cannot_change(message: type[msgspec.Struct]) -> None:
    assert message.__struct_config__.frozen


def test_a_message_is_built_by_keyword(message: type[msgspec.Struct]) -> None:
    kinds = {parameter.kind for parameter in inspect.signature(message).parameters.values()}
    assert kinds <= {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("carried", sorted({kind.__name__: kind for kind in ON_THE_BUS}.items()))
def test_nothing_on_the_bus_refuses_unknown_fields(carried: tuple[str, type[msgspec.Struct]]) -> None:
    """A service that does not know a new field yet must still read the messages that have it."""
    for struct in _structs_in(msgspec.inspect.type_info(carried[1])):
        assert not struct.__struct_config__.forbid_unknown_fields, struct


def _structs_in(kind: msgspec.inspect.Type) -> Iterator[type[msgspec.Struct]]:
    """Yield the struct and the structs of its fields, however deep."""
    for leaf in _leaves(kind):
        if isinstance(leaf, msgspec.inspect.StructType):
            yield leaf.cls
            for field in leaf.fields:
                yield from _structs_in(field.type)


def test_every_time_in_a_message_is_aware(message: type[msgspec.Struct]) -> None:
    info = msgspec.inspect.type_info(message)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        for kind in _leaves(field.type):
            if isinstance(kind, msgspec.inspect.DateTimeType):
                assert kind.tz is True, f"{message.__name__}.{field.name} takes a naive time"


MEASURED = (
    "cafeteria.contracts.ops.",
    "cafeteria.contracts.kitchen.Pace",
    "cafeteria.contracts.notification.CanteenPulse",
)
"""Their numbers are measurements, and none of them is money."""


def test_no_message_carries_a_float(message: type[msgspec.Struct]) -> None:
    """Money would lose cents."""
    info = msgspec.inspect.type_info(message)
    assert isinstance(info, msgspec.inspect.StructType)
    kinds = [kind for field in info.fields for kind in _leaves(field.type)]
    has_floats = any(isinstance(kind, msgspec.inspect.FloatType) for kind in kinds)
    assert not has_floats or f"{message.__module__}.{message.__qualname__}".startswith(MEASURED)


def _leaves(kind: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    """Yield the types inside a field's unions, tuples and constraints."""
    if isinstance(kind, msgspec.inspect.UnionType):
        for part in kind.types:
            yield from _leaves(part)
    elif isinstance(kind, msgspec.inspect.VarTupleType):
        yield from _leaves(kind.item_type)
    elif isinstance(kind, msgspec.inspect.Metadata):
        yield from _leaves(kind.type)
    else:
        yield kind


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        msgspec.json.decode(b'"2026-03-01T18:04:00"', type=values.Instant)


def test_money_is_a_string_that_keeps_its_cents() -> None:
    price = values.PricedLine(item_id=UUID(int=1), quantity=1, unit_price=Decimal("10.10"))
    assert b'"unit_price":"10.10"' in msgspec.json.encode(price)


def test_every_state_has_a_version_and_the_ended_ones_are_later() -> None:
    assert set(values.STATUS_VERSIONS) == set(values.OrderStatus)
    for ended in values.ENDED_STATUSES:
        assert values.STATUS_VERSIONS[ended] > values.STATUS_VERSIONS[values.OrderStatus.PENDING]


def test_an_aware_time_keeps_its_microseconds() -> None:
    text = b'"2026-03-01T18:04:00.123456Z"'
    moment = msgspec.json.decode(text, type=values.Instant)
    assert isinstance(moment, datetime)
    assert msgspec.json.encode(moment) == text


@pytest.mark.parametrize("student_id", ["", "a" * 33, "2100 41101", "210041101\n", "é"])
def test_a_student_id_has_1_to_32_plain_characters(student_id: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(student_id, type=values.StudentId)


@pytest.mark.parametrize("lines", [0, values.MAX_LINES_PER_ORDER + 1])
def test_an_order_has_1_to_20_lines(lines: int) -> None:
    line = {"item_id": "0193a400-0000-7000-8000-000000000001", "quantity": 1}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"lines": [line] * lines}, type=gateway.PlaceOrder)


@pytest.mark.parametrize("quantity", [0, values.MAX_PORTIONS_PER_LINE + 1, 1.5, "1"])
def test_a_line_has_1_to_20_whole_portions(quantity: object) -> None:
    line = {"item_id": "0193a400-0000-7000-8000-000000000001", "quantity": quantity}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"lines": [line]}, type=gateway.PlaceOrder)


@pytest.mark.parametrize("price", ["0", "120", "120.5", "120.50", "99999999.99"])
def test_a_price_is_digits_with_at_most_two_places(price: str) -> None:
    assert msgspec.convert(price, type=stock.Price) == price


@pytest.mark.parametrize(
    "price",
    ["", "1.", ".5", "1.005", "100000000", "-0", "+5", "1e2", "1_0", " 1", "1\n", "১৪০", "1٫5", 1, 1.5],
)
def test_any_other_value_is_not_a_price(price: object) -> None:
    for strict in (True, False):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(price, type=stock.Price, strict=strict)


def test_the_published_schema_has_the_pattern_of_a_price() -> None:
    """The service and the readers of the API's description use the same pattern."""
    schema = msgspec.json.schema(stock.Price)
    assert schema["type"] == "string"
    assert schema["pattern"].startswith(r"^[0-9]{1,8}(\.[0-9]{1,2})?")
