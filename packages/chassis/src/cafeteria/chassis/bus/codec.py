"""Bodies are JSON of the contracts' structs; headers say what they are and where they come from."""

from typing import Any, TypeVar

import msgspec

from cafeteria.chassis import trace
from cafeteria.contracts.wire import HEADER_SENDER, HEADER_TRACEPARENT, HEADER_TYPE

Body = TypeVar("Body", bound=msgspec.Struct)

ENCODER = msgspec.json.Encoder()


_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def decoder_for(body_type: type[Body]) -> msgspec.json.Decoder[Body]:
    """One decoder per type: making one costs more than a hundred decodings."""
    decoder = _decoders.get(body_type)
    if decoder is None:
        decoder = _decoders[body_type] = msgspec.json.Decoder(body_type)
    return decoder


def headers_for(sender: str, traceparent: str | None, *, type_name: str | None = None) -> dict[str, str]:
    headers = {HEADER_SENDER: sender}
    if type_name is not None:
        headers[HEADER_TYPE] = type_name
    traceparent = traceparent or trace.current()
    if traceparent is not None:
        headers[HEADER_TRACEPARENT] = traceparent
    return headers
