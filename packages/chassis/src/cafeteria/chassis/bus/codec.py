"""Bodies are JSON of the contracts' structs; headers say what they are and where they come from."""

from typing import Any, Generic, TypeVar

import msgspec

from cafeteria.chassis import trace
from cafeteria.contracts.wire import HEADER_SENDER, HEADER_TRACEPARENT, HEADER_TYPE

Body = TypeVar("Body", bound=msgspec.Struct)

ENCODER = msgspec.json.Encoder()


class BodyDecoder(Generic[Body]):
    def __init__(self, body_type: type[Body]) -> None:
        self._decode = msgspec.json.Decoder(body_type).decode

    def decode(self, body: bytes) -> Body:
        """Raises msgspec.MsgspecError, whatever is wrong with the body.

        msgspec itself raises others too: UnicodeDecodeError for text that is not UTF-8, RecursionError for brackets
        within brackets.
        """
        try:
            return self._decode(body)
        except msgspec.MsgspecError:
            raise
        except Exception as error:
            raise msgspec.DecodeError(f"{type(error).__name__}: {error}") from error


_decoders: dict[type[Any], BodyDecoder[Any]] = {}


def decoder_for(body_type: type[Body]) -> BodyDecoder[Body]:
    """One decoder per type: making one costs more than a hundred decodings."""
    decoder = _decoders.get(body_type)
    if decoder is None:
        decoder = _decoders[body_type] = BodyDecoder(body_type)
    return decoder


def headers_for(sender: str, traceparent: str | None, *, type_name: str | None = None) -> dict[str, str]:
    headers = {HEADER_SENDER: sender}
    if type_name is not None:
        headers[HEADER_TYPE] = type_name
    traceparent = traceparent or trace.current()
    if traceparent is not None:
        headers[HEADER_TRACEPARENT] = traceparent
    return headers
