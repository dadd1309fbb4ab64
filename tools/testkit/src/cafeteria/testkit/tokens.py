"""Signs access tokens as identity does, without a login."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from cafeteria.contracts.values import Role
from cafeteria.identity.signing_keys import SigningKeys

LIFETIME = timedelta(hours=1)


class Tokens:
    """Signs tokens with the private key whose public key the services under test use."""

    def __init__(self, signing_key_file: Path) -> None:
        self._keys = SigningKeys.load(str(signing_key_file))

    def student(self, student_id: str = "210041101") -> str:
        return self.sign(student_id, Role.STUDENT)

    def kitchen(self, student_id: str = "kitchen-1") -> str:
        return self.sign(student_id, Role.KITCHEN)

    def operator(self, student_id: str = "operator-1") -> str:
        return self.sign(student_id, Role.OPERATOR)

    def sign(
        self,
        student_id: str,
        role: Role,
        *,
        lifetime: timedelta = LIFETIME,
        session: UUID | None = None,
    ) -> str:
        """Sign a token of a new session, or of `session`; with a negative `lifetime` it has already expired."""
        now = datetime.now(UTC)
        return self._keys.sign_access_token(
            student_id=student_id,
            role=role,
            session=session or uuid4(),
            issued_at=min(now, now + lifetime),
            expires_at=now + lifetime,
        )

    def header(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}
