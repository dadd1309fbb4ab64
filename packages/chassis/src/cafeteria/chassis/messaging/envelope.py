"""Encodes and decodes bodies as JSON of the contracts' structs; headers name the type, the sender and the trace."""

from typing import Any, Generic, TypeVar

import msgspec

from cafeteria.chassis.observability import tracing
from cafeteria.contracts.channels import HEADER_SENDER, HEADER_TRACEPARENT, HEADER_TYPE

Body = TypeVar("Body", bound=msgspec.Struct)

ENCODER = msgspec.json.Encoder()


class BodyDecoder(Generic[Body]):
    def __init__(self, body_type: type[Body]) -> None:
        self._decode = msgspec.json.Decoder(body_type).decode

    def decode(self, body: bytes) -> Body:
        """Decode a body. Raises msgspec.MsgspecError for any fault in it.

        msgspec itself also raises UnicodeDecodeError for text that is not UTF-8 and RecursionError for deep nesting.
        """
        try:
            return self._decode(body)
        except msgspec.MsgspecError:
            raise
        except Exception as error:
            raise msgspec.DecodeError(f"{type(error).__name__}: {error}") from error


_decoders: dict[type[Any], BodyDecoder[Any]] = {}


def decoder_for(body_type: type[Body]) -> BodyDecoder[Body]:
    """Return the only decoder of this type: creating one costs more than a hundred decodings."""
    decoder = _decoders.get(body_type)
    if decoder is None:
        decoder = _decoders[body_type] = BodyDecoder(body_type)
    return decoder


def headers_for(sender: str, traceparent: str | None, *, type_name: str | None = None) -> dict[str, str]:
    headers = {HEADER_SENDER: sender}
    if type_name is not None:
        headers[HEADER_TYPE] = type_name
    traceparent = traceparent or tracing.current()
    if traceparent is not None:
        headers[HEADER_TRACEPARENT] = traceparent
    return headers
