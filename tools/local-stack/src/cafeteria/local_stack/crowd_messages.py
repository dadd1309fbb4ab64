"""What the program of a crowd reads and prints, as JSON. It imports little: the program shall start at once."""

import msgspec


class Instructions(msgspec.Struct, frozen=True, kw_only=True):
    """What the program reads: whose tokens it has, where it orders, within how many seconds all have begun.

    `hot`: all order one item. Several addresses are replicas of one service.
    """

    gateways: tuple[str, ...]
    notifications: tuple[str, ...]
    tokens: dict[str, str]
    within_s: float
    hot: bool


class Figures(msgspec.Struct, kw_only=True):
    """What the program prints: numbers of orders; `busy` counts answers after which a student had to come again.

    The times are those from an order to its first answer, in milliseconds. `lost` counts promised orders that do not
    exist or were refused after all; it is null until each was asked for, at the end.
    """

    placed: int = 0
    accepted: int = 0
    received: int = 0
    refused: int = 0
    busy: int = 0
    ready: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    lost: int | None = None
