"""The refusals of identity. No answer to a login reveals whether a student id exists; none repeats a secret."""

from enum import StrEnum

from cafeteria.chassis.runtime.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    ServiceError,
    Unauthenticated,
    Unavailable,
)
from cafeteria.chassis.runtime.security_events import SecurityEvent
from cafeteria.contracts.identity import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH
from cafeteria.contracts.problems import ProblemCode


class InvalidCredentials(ServiceError):
    """The same answer for an unknown id, a wrong password and a disabled account."""

    code = ProblemCode.INVALID_CREDENTIALS
    status = 401
    title = "Sign-in refused"
    security_event = SecurityEvent.LOGIN_FAILED

    def __init__(self) -> None:
        super().__init__(
            "The student id or the password is wrong.",
            headers={"WWW-Authenticate": 'Bearer realm="cafeteria"'},
        )


class OneTimePasswordExpired(InvalidCredentials):
    """A right one-time password after its time. Only its holder learns this."""

    def __init__(self) -> None:
        super().__init__()
        self.detail = "This one-time password has expired. Ask an operator for a new one."


class PasswordChangeRequired(ServiceError):
    """A right one-time password: it gives no session without a new password."""

    code = ProblemCode.PASSWORD_CHANGE_REQUIRED
    status = 403
    security_event = SecurityEvent.LOGIN_FAILED
    title = "New password required"

    def __init__(self) -> None:
        super().__init__(
            "This is a one-time password. Choose a new password, and sign in again with it as `new_password`."
        )


class WrongPassword(Forbidden):
    """The old password of a change. Not 401: the token is right, and signing in again would not help."""

    code = ProblemCode.WRONG_PASSWORD
    security_event = SecurityEvent.LOGIN_FAILED
    title = "Wrong password"

    def __init__(self) -> None:
        super().__init__("The old password is wrong, or was just changed. Nothing was changed.")


class AccountChanged(Unavailable):
    """The password was replaced by another request while it was checked."""

    def __init__(self) -> None:
        super().__init__("The account was changed at this moment, and nothing was done. Sign in again.")


class LoginLimit(StrEnum):
    """The limit that refused a login: of a known device; and of others, of a network, a student id, or both together."""

    DEVICE = "device"
    NETWORK = "network"
    STUDENT = "student"
    CLIENT = "client"


_TOO_MANY = {
    LoginLimit.DEVICE: "Too many sign-ins were tried on this device.",
    LoginLimit.NETWORK: "Too many sign-ins from your network have failed.",
    LoginLimit.STUDENT: "Too many sign-ins were tried for this student id.",
    LoginLimit.CLIENT: "Too many sign-ins were tried for this student id.",
}


class TooManyAttempts(ServiceError):
    """A login over a limit: it was not counted."""

    code = ProblemCode.TOO_MANY_ATTEMPTS
    status = 429
    title = "Too many attempts"
    security_event = SecurityEvent.LOGIN_LIMITED

    def __init__(self, limit: LoginLimit, *, retry_after_s: int) -> None:
        sentences = [_TOO_MANY[limit], f"Try again in {retry_after_s} s; this one was not counted."]
        if limit is not LoginLimit.DEVICE:
            sentences.append("A device on which you have signed in before need not wait.")
        super().__init__(" ".join(sentences), headers={"Retry-After": str(retry_after_s)})


class TokensNowhere(InvalidRequest):
    """Neither the body of the answer nor its cookies would hold the tokens."""

    def __init__(self) -> None:
        super().__init__(
            "Without `tokens` only cookies could bring the tokens, and this request asks for none. Nothing was done. "
            "Send `cookie` as true, or leave out `tokens`.",
            errors=("body.tokens: false needs `cookie` to be true",),
        )


class InvalidStudentId(InvalidRequest):
    def __init__(self) -> None:
        super().__init__(
            "The student id is not one.", errors=("student_id: 1 to 32 letters, digits and hyphens",)
        )


class UnusableName(InvalidRequest):
    """A name that cannot be stored. `fault` is the reason, without the name."""

    def __init__(self, fault: str) -> None:
        super().__init__(
            "The name cannot be kept, and nothing was changed. Type it again without what `errors` names.",
            errors=(f"body.full_name: {fault}",),
        )
        self.fault = fault


class PasswordFault(StrEnum):
    """Why a password cannot be used: a clause for a person, without the password."""

    LENGTH = (
        f"it must have {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters, "
        "counted with accents in one piece and in two"
    )
    COMMON = "it is one of the most used passwords, which are guessed first"
    STUDENT_ID = "it is the student id, or little more"
    SAME = "it is the password that you have now"


class UnusablePassword(InvalidRequest):
    """A new password that was refused. `field` is its name in the request's body."""

    def __init__(self, fault: PasswordFault, *, field: str) -> None:
        super().__init__(
            f"The new password cannot be used: {fault}. Nothing was changed. Choose another one.",
            errors=(f"body.{field}: {fault}",),
        )


class RefreshRefused(Unauthenticated):
    """The refresh token is absent, unknown, expired, revoked, or was used before its grace."""

    security_event = SecurityEvent.REFRESH_TOKEN_REFUSED

    def __init__(self) -> None:
        super().__init__("The refresh token is not valid any more. Sign in again.")


class RefreshRepeated(Unauthenticated):
    """The refresh token gave as many tokens as it may; those remain valid."""

    security_event = SecurityEvent.REFRESH_TOKEN_REFUSED

    def __init__(self) -> None:
        super().__init__(
            "This refresh token was used too many times within a few seconds. Use the tokens of the earlier answers."
        )


class AccountGone(Unauthenticated):
    """The access token is genuine, but its account was removed or disabled after it was issued."""

    def __init__(self) -> None:
        super().__init__("The account of this token cannot sign in any more.")


class StudentNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__("There is no account with this student id.")


class OwnAccount(Conflict):
    """An operator may not lock themself out. `advice` says what to do instead."""

    def __init__(self, advice: str) -> None:
        super().__init__(f"This is your own account, and nothing was changed. {advice}")


class LastOperator(Conflict):
    """Without an enabled operator nobody could manage accounts."""

    def __init__(self) -> None:
        super().__init__(
            "This is the last enabled operator, and nothing was changed. Make or enable another operator first."
        )


class SessionNotFound(NotFound):
    """No session of the person has this id; one that ended is forgotten a while after its end."""

    def __init__(self) -> None:
        super().__init__("You have no session with this id. Nothing was changed.")


class OperatorExists(Conflict):
    """The first operator was created before; the others are for an operator to create."""

    def __init__(self) -> None:
        super().__init__("There is an enabled operator already, who can create others. Nothing was changed.")


class StudentIdTaken(Conflict):
    def __init__(self, student_id: str) -> None:
        super().__init__(f"The student id {student_id} is taken; its account was left as it is.")
