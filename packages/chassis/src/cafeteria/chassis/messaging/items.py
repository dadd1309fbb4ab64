"""Decodes a body that is one list item by item, so that an unreadable item never hides the others."""

from typing import Annotated, Any, get_args, get_type_hints

import msgspec

from cafeteria.chassis.messaging.envelope import BodyDecoder
from cafeteria.contracts.channels import MAX_ITEMS


class UnreadableItem(msgspec.Struct, frozen=True):
    """An item that failed to decode. `body` is its bytes as received; `error` is the reason."""

    body: bytes
    error: str


class ItemsDecoder:
    """Decodes a struct whose only field is a tuple of structs."""

    def __init__(self, body_type: type[msgspec.Struct]) -> None:
        [(name, annotation)] = get_type_hints(body_type).items()
        item_type, _ = get_args(annotation)
        fields = [("items", Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(max_length=MAX_ITEMS)])]
        envelope = msgspec.defstruct(f"{body_type.__name__}Envelope", fields, rename={"items": name})
        self._envelope: BodyDecoder[Any] = BodyDecoder(envelope)
        self._item: BodyDecoder[Any] = BodyDecoder(item_type)
        self.field = name

    def decode(self, body: bytes) -> list[Any | UnreadableItem]:
        """Return the items in order. Raises msgspec.MsgspecError if the list is missing or too long."""
        return [self._read(raw) for raw in self.split(body)]

    def split(self, body: bytes) -> list[bytes]:
        """Return the bytes of each item as received. Raises as `decode` does."""
        return [bytes(raw) for raw in self._envelope.decode(body).items]

    def _read(self, raw: bytes) -> Any | UnreadableItem:
        try:
            return self._item.decode(raw)
        except msgspec.MsgspecError as error:
            return UnreadableItem(raw, str(error))


_decoders: dict[type[Any], ItemsDecoder] = {}


def items_decoder_for(body_type: type[Any]) -> ItemsDecoder:
    """Return the only decoder of this type: creating one costs more than a hundred decodings."""
    decoder = _decoders.get(body_type)
    if decoder is None:
        decoder = _decoders[body_type] = ItemsDecoder(body_type)
    return decoder
