"""Notification's settings, read from the environment."""

from typing import Annotated

from msgspec import Meta, field

from cafeteria.chassis.runtime.settings import ServiceSettings

StreamLimit = Annotated[int, Meta(ge=0, description="a whole number; 0 for no limit")]


class NotificationSettings(ServiceSettings, frozen=True, kw_only=True):
    """`streams` is how many streams one student may have open at one process."""

    streams: StreamLimit = field(name="NOTIFICATION_STREAMS", default=0)
