"""Device cookies: the proof that a browser has signed in for a student id, so that others cannot lock it out.

A device cookie is a JWT for this purpose alone: its audience is no service's, so it is no access token, and an access
token is no device cookie. It gives no access. All keys that verify access tokens verify it.
"""

from collections.abc import Iterable
from datetime import timedelta
from itertools import islice
from uuid import UUID

from cafeteria.chassis.runtime.clock import now
from cafeteria.identity.signing_keys import SigningKeys

LIFETIME_S = 180 * 24 * 3600  # a term and its holidays; each login begins it again
MAX_COOKIE_BYTES = 1024  # one has about 350
MAX_TRIED = 4
"""Pages of neighbouring hosts may plant cookies of the same name, and to verify one costs 0.2 ms."""


class DeviceCookies:
    """Makes and reads device cookies. One that is forged, expired, or of another student counts as none."""

    def __init__(self, signing_keys: SigningKeys) -> None:
        self._signing_keys = signing_keys

    def read(self, cookies: Iterable[bytes], *, student_id: str) -> UUID | None:
        """The id of the device, from the first of `cookies` that is valid for the student id."""
        devices = (
            self._signing_keys.verify_device(cookie.decode("latin-1"), student_id=student_id)
            for cookie in islice(cookies, MAX_TRIED)
            if len(cookie) <= MAX_COOKIE_BYTES
        )
        return next((device for device in devices if device is not None), None)

    def renew(self, cookies: Iterable[bytes], *, student_id: str, session: UUID) -> str:
        """A new cookie for a device that has just signed in, or renewed its session.

        A known device keeps its id, a new one gets that of its session: nobody makes many devices, each with a login
        window of its own, of one session or one stolen cookie.
        """
        return self._signing_keys.sign_device(
            student_id=student_id,
            device=self.read(cookies, student_id=student_id) or session,
            expires_at=now() + timedelta(seconds=LIFETIME_S),
        )
