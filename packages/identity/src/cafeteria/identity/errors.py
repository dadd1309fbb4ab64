"""The refusals of identity. No answer to a login reveals whether a student id exists; none repeats a secret."""

from enum import StrEnum

from cafeteria.chassis.runtime.errors import Conflict, InvalidRequest, NotFound, ServiceError, Unauthenticated
from cafeteria.contracts.identity import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH
from cafeteria.contracts.problems import ProblemCode


class InvalidCredentials(ServiceError):
    """The same answer for an unknown id, a wrong password and a disabled account."""

    code = ProblemCode.INVALID_CREDENTIALS
    status = 401
    title = "Sign-in refused"

    def __init__(self) -> None:
        super().__init__(
            "The student id or the password is wrong.",
            headers={"WWW-Authenticate": 'Bearer realm="cafeteria"'},
        )


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

    def __init__(self, limit: LoginLimit, *, retry_after_s: int) -> None:
        sentences = [_TOO_MANY[limit], f"Try again in {retry_after_s} s; this one was not counted."]
        if limit is not LoginLimit.DEVICE:
            sentences.append("A device on which you have signed in before need not wait.")
        super().__init__(" ".join(sentences), headers={"Retry-After": str(retry_after_s)})


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


class UnusablePassword(InvalidRequest):
    def __init__(self) -> None:
        limits = f"{MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters"
        super().__init__(
            "The password cannot be used, and nothing was changed. Choose one of another length.",
            errors=(f"body.password: {limits}, counted with accents in one piece and in two",),
        )


class RefreshRefused(Unauthenticated):
    """The refresh token is absent, unknown, expired, revoked, or was used before its grace."""

    def __init__(self) -> None:
        super().__init__("The refresh token is not valid any more. Sign in again.")


class RefreshRepeated(Unauthenticated):
    """The refresh token gave as many tokens as it may; those remain valid."""

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


class SessionNotFound(NotFound):
    """No session of the person has this id; one that ended is forgotten a while after its end."""

    def __init__(self) -> None:
        super().__init__("You have no session with this id. Nothing was changed.")


class StudentIdTaken(Conflict):
    def __init__(self, student_id: str) -> None:
        super().__init__(f"The student id {student_id} is taken; its account was left as it is.")
