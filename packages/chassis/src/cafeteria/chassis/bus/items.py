"""Reads a body that is one list, item by item: an item that cannot be read never hides its neighbours."""

from typing import Annotated, Any, get_args, get_type_hints

import msgspec

from cafeteria.chassis.bus.codec import BodyDecoder
from cafeteria.contracts.wire import MAX_ITEMS


class UnreadableItem(msgspec.Struct, frozen=True):
    """`body` is the item as it came; `error` says why it could not be read."""

    body: bytes
    error: str


class ItemsDecoder:
    """For a struct whose only field is a tuple of structs."""

    def __init__(self, body_type: type[msgspec.Struct]) -> None:
        [(name, annotation)] = get_type_hints(body_type).items()
        item_type, _ = get_args(annotation)
        fields = [("items", Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(max_length=MAX_ITEMS)])]
        envelope = msgspec.defstruct(f"{body_type.__name__}Envelope", fields, rename={"items": name})
        self._envelope: BodyDecoder[Any] = BodyDecoder(envelope)
        self._item: BodyDecoder[Any] = BodyDecoder(item_type)
        self.field = name

    def decode(self, body: bytes) -> list[Any | UnreadableItem]:
        """The items in their order. Raises msgspec.MsgspecError when there is no list of them, or too long a one."""
        return [self._read(raw) for raw in self.split(body)]

    def split(self, body: bytes) -> list[bytes]:
        """Each item as it came. Raises as `decode` does."""
        return [bytes(raw) for raw in self._envelope.decode(body).items]

    def _read(self, raw: bytes) -> Any | UnreadableItem:
        try:
            return self._item.decode(raw)
        except msgspec.MsgspecError as error:
            return UnreadableItem(raw, str(error))


_decoders: dict[type[Any], ItemsDecoder] = {}


def items_decoder_for(body_type: type[Any]) -> ItemsDecoder:
    """One decoder per type: making one costs more than a hundred decodings."""
    decoder = _decoders.get(body_type)
    if decoder is None:
        decoder = _decoders[body_type] = ItemsDecoder(body_type)
    return decoder
