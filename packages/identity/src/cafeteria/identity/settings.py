"""Identity's own settings, beside those of every service."""

from ipaddress import ip_network
from typing import Annotated

from msgspec import Meta, field

from cafeteria.chassis.http.forwarding import Network
from cafeteria.chassis.runtime.settings import Network as SettingsNetwork
from cafeteria.chassis.runtime.settings import ServiceSettings, SettingsError

PositiveInt = Annotated[int, Meta(ge=1, description="a whole number above 0")]
Limit = Annotated[int, Meta(ge=0, description="a whole number, 0 or more")]
AuditDays = Annotated[int, Meta(ge=7, le=36_500, description="a whole number of days, 7 or more")]
Niceness = Annotated[int, Meta(ge=0, le=19, description="a whole number from 0 to 19")]


class SigningKeyUnusable(SettingsError):
    """A key file cannot be used, so the service cannot start. The sentence holds no byte of the key."""

    def __init__(self, sentence: str) -> None:
        super().__init__((sentence,))


class IdentitySettings(ServiceSettings, frozen=True, kw_only=True):
    """Identity's settings; names that end in `_s` are seconds."""

    signing_key_file: str = field(name="IDENTITY_SIGNING_KEY_FILE")
    older_key_files: tuple[str, ...] = field(name="IDENTITY_OLDER_KEY_FILES", default=())
    access_token_s: PositiveInt = field(name="IDENTITY_ACCESS_TOKEN_S", default=15 * 60)
    session_s: PositiveInt = field(name="IDENTITY_SESSION_S", default=30 * 24 * 3600)
    session_idle_s: PositiveInt = field(name="IDENTITY_SESSION_IDLE_S", default=7 * 24 * 3600)
    secure_cookies: bool = field(name="IDENTITY_SECURE_COOKIES", default=False)
    logins_per_client: PositiveInt = field(name="IDENTITY_LOGINS_PER_CLIENT", default=3)
    logins_per_student: PositiveInt = field(name="IDENTITY_LOGINS_PER_STUDENT", default=30)
    failures_per_client: PositiveInt = field(name="IDENTITY_FAILURES_PER_CLIENT", default=60)
    login_window_s: PositiveInt = field(name="IDENTITY_LOGIN_WINDOW_S", default=60)
    audit_days: AuditDays = field(name="IDENTITY_AUDIT_DAYS", default=90)
    trusted_proxies: tuple[str, ...] = field(name="IDENTITY_TRUSTED_PROXIES", default=())
    hash_threads: Limit = field(name="IDENTITY_HASH_THREADS", default=0)
    hash_queue: Limit = field(name="IDENTITY_HASH_QUEUE", default=64)
    hash_niceness: Niceness = field(name="IDENTITY_HASH_NICENESS", default=7)

    def __post_init__(self) -> None:
        """Reject a malformed network at the start, not at the first request."""
        try:
            self.trusted_networks()
        except ValueError as error:
            raise ValueError(
                f"IDENTITY_TRUSTED_PROXIES must be addresses or networks, with commas between: {error}."
            ) from None

    def is_https_alone(self) -> bool:
        return self.secure_cookies or super().is_https_alone()

    def scheme_proxies(self) -> tuple[SettingsNetwork, ...]:
        return (*super().scheme_proxies(), *map(SettingsNetwork, self.trusted_proxies))

    def trusted_networks(self) -> tuple[Network, ...]:
        """The proxies whose headers X-Forwarded-For, X-Forwarded-Proto and Forwarded are read."""
        return tuple(ip_network(each) for each in self.trusted_proxies)
