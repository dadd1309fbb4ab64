"""Today's code writes the golden examples byte for byte."""

from pathlib import Path

import msgspec
import pytest

Messages = dict[str, type[msgspec.Struct]]


def message_type(messages: Messages, path: str) -> type[msgspec.Struct]:
    """`stock/StockDecided.json` and `stock/StockDecided.expired.json` are both StockDecided."""
    return messages[path.partition(".")[0]]


def test_a_message_has_an_example(messages: Messages, examples_folder: Path) -> None:
    missing = [name for name in messages if not (examples_folder / f"{name}.json").is_file()]
    assert missing == []


def test_an_example_round_trips_byte_for_byte(
    messages: Messages, examples_folder: Path, example: str
) -> None:
    golden = (examples_folder / example).read_bytes().removesuffix(b"\n")
    message = msgspec.json.decode(golden, type=message_type(messages, example))
    assert msgspec.json.encode(message) == golden


def test_an_event_with_a_field_from_the_future_is_read(
    messages: Messages, examples_folder: Path, example: str
) -> None:
    """Else every new field of an event would have to reach all its readers first."""
    kind = message_type(messages, example)
    fields = {**msgspec.json.decode((examples_folder / example).read_bytes()), "from_the_future": [1]}
    if kind.__struct_config__.forbid_unknown_fields:
        with pytest.raises(msgspec.ValidationError, match="from_the_future"):
            msgspec.convert(fields, type=kind, strict=False)
    else:
        msgspec.convert(fields, type=kind, strict=False)
