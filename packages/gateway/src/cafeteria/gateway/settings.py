"""The gateway's settings, read from the environment."""

from typing import Annotated

from msgspec import Meta, field

from cafeteria.chassis.runtime.settings import ServiceSettings

PoolSize = Annotated[int, Meta(ge=4, le=50, description="a whole number from 4 to 50")]
Limit = Annotated[int, Meta(ge=1, description="a whole number above 0")]
OptionalLimit = Annotated[int, Meta(ge=0, description="a whole number; 0 for no limit")]


class GatewaySettings(ServiceSettings, frozen=True, kw_only=True):
    """The gateway answers 503 to new orders while `pending_limit` orders wait for stock's decision (or fewer: see
    `load.LoadShedding`), or `queue_limit` of them wait to be written, or the kitchen has `kitchen_limit` of them in progress:
    see `kitchen_pace`. `open_orders` and `portions_per_hour` limit one student: see `limits`.
    """

    pool_size: PoolSize = field(name="GATEWAY_POOL_SIZE", default=10)
    pending_limit: Limit = field(name="GATEWAY_PENDING_LIMIT", default=2_000)
    queue_limit: Limit = field(name="GATEWAY_QUEUE_LIMIT", default=1_024)
    open_orders: OptionalLimit = field(name="GATEWAY_OPEN_ORDERS", default=0)
    portions_per_hour: OptionalLimit = field(name="GATEWAY_PORTIONS_PER_HOUR", default=0)
    kitchen_limit: OptionalLimit = field(name="GATEWAY_KITCHEN_LIMIT", default=0)
