"""The HTTP routes of identity: logins and tokens for everybody, and the accounts for operators.

A browser that asks for cookies gets three, all HttpOnly: the access token for every path, and the refresh token
twice, each only for the path that needs it, because a cookie has one path and no other request should carry the token.
"""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, patch, post, put
from litestar.datastructures import Cookie, State
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from cafeteria.chassis.auth.tokens import ACCESS_COOKIE, SignedInRequest, requires
from cafeteria.chassis.http.cors import Origins
from cafeteria.chassis.http.forwarding import Sender
from cafeteria.chassis.http.openapi import refusals
from cafeteria.chassis.http.pagination import DEFAULT_PAGE, PageLimit, RowCursor
from cafeteria.chassis.http.request_headers import read_cookie
from cafeteria.chassis.runtime.errors import Forbidden
from cafeteria.contracts import identity
from cafeteria.contracts.values import Role
from cafeteria.identity.errors import (
    InvalidCredentials,
    LastOperator,
    OwnAccount,
    PasswordChangeRequired,
    RefreshRefused,
    StudentIdTaken,
    TooManyAttempts,
    WrongPassword,
)
from cafeteria.identity.token_issuer import Session
from cafeteria.identity.use_cases import Service

REFRESH_COOKIE = "cafeteria_refresh"
LOGOUT_COOKIE = "cafeteria_logout"
COOKIE_PATHS = {ACCESS_COOKIE: "/", REFRESH_COOKIE: "/v1/token", LOGOUT_COOKIE: "/v1/logout"}

JWKS_MAX_AGE_S = 300  # services get a new key over the bus at once; browsers and tools may wait this long
NO_STORE = {"Cache-Control": "no-store"}

SearchText = Annotated[
    str,
    QueryParameter(
        max_length=identity.MAX_NAME_LENGTH,
        description="A part of the student id or the name, in any case; each character is literal.",
    ),
]

_SESSIONS = ["sessions"]
_PEOPLE = ["people"]
_OPERATOR = requires(Role.OPERATOR)

AnyRequest = Request[Any, Any, State]


@post(
    "/v1/login",
    status_code=200,
    summary="Sign in",
    tags=_SESSIONS,
    responses=refusals(InvalidCredentials, Forbidden, PasswordChangeRequired, TooManyAttempts),
)
async def login(data: JSONBody[identity.Login], request: AnyRequest) -> Response[identity.Tokens]:
    """Allow three attempts a minute for each student id and address; right ones count, too.

    A one-time password signs in only together with `new_password`, which replaces it and ends all other sessions.
    """
    if data.cookie:
        _check_page(request)
    session = await _service(request).log_in(
        data, client=_sender(request).address, user_agent=request.headers.get("user-agent")
    )
    return _answer(session, request, with_cookies=data.cookie)


@post(
    "/v1/token/refresh",
    status_code=200,
    summary="Trade a refresh token for new tokens",
    tags=_SESSIONS,
    responses=refusals(RefreshRefused, Forbidden),
)
async def refresh(
    request: AnyRequest, data: JSONBody[identity.RefreshToken | None] = None
) -> Response[identity.Tokens]:
    """Accept a refresh token for 10 s from its first use; a later use ends its session. Without a body the cookie counts."""
    body = data or identity.RefreshToken()
    if body.cookie:
        _check_page(request)
    by_cookie = not body.refresh_token
    token = _cookie(request, REFRESH_COOKIE) if by_cookie else body.refresh_token
    session = await _service(request).refresh_tokens(token)
    return _answer(session, request, with_cookies=body.cookie or by_cookie)


@post("/v1/logout", status_code=204, summary="End the session", tags=_SESSIONS, responses=refusals(Forbidden))
async def logout(request: AnyRequest, data: JSONBody[identity.Logout | None] = None) -> Response[None]:
    """End the session of a refresh token; an unknown or expired one is fine. Without a body the cookie counts."""
    token = data.refresh_token if data and data.refresh_token else _cookie(request, LOGOUT_COOKIE)
    if token:
        await _service(request).log_out(token)
    return Response(None, status_code=204, cookies=_cookies(request, {}))


@get("/v1/me/sessions", before_request=requires(), summary="List my sessions", tags=_SESSIONS)
async def list_my_sessions(request: SignedInRequest) -> identity.Sessions:
    """List the sessions that are signed in, the newest first: at a login above 100 of them the oldest ends."""
    return await _service(request).list_sessions.mine(request.user.subject, current=request.user.session)


@delete(
    "/v1/me/sessions/{session_id:uuid}", before_request=requires(), summary="End a session", tags=_SESSIONS
)
async def end_my_session(request: SignedInRequest, session_id: FromPath[UUID]) -> None:
    """End one of your own sessions: within two seconds no service accepts its tokens. A repeat answers 204, too."""
    await _service(request).end_sessions.one(session_id, student_id=request.user.subject)


@get("/v1/me", before_request=requires(), summary="Who am I?", tags=_PEOPLE)
async def me(request: SignedInRequest) -> identity.Student:
    return await _service(request).read_student(request.user.subject)


@put(
    "/v1/me/password",
    status_code=204,
    before_request=requires(),
    summary="Change the own password",
    tags=_PEOPLE,
    responses=refusals(WrongPassword, TooManyAttempts),
)
async def change_password(data: JSONBody[identity.ChangePassword], request: SignedInRequest) -> None:
    """End all other sessions. The old password is tried within the limits of a login."""
    await _service(request).change_password(data, principal=request.user, client=_sender(request).address)


@post(
    "/v1/students",
    before_request=_OPERATOR,
    summary="Create an account (operators only)",
    tags=_PEOPLE,
    responses=refusals(StudentIdTaken),
)
async def create_student(
    data: JSONBody[identity.CreateStudent], request: SignedInRequest
) -> identity.Student:
    return await _service(request).create_student(data)


@get("/v1/students", before_request=_OPERATOR, summary="Find accounts (operators only)", tags=_PEOPLE)
async def list_students(
    request: SignedInRequest,
    search: SearchText = "",
    role: FromQuery[Role | None] = None,
    disabled: FromQuery[bool | None] = None,
    cursor: RowCursor = None,
    limit: PageLimit = DEFAULT_PAGE,
) -> identity.Students:
    """List the accounts of all roles, the newest first; with `search` those that have the text in their id or name."""
    return await _service(request).list_students(
        search=search, role=role, disabled=disabled, cursor=cursor, limit=limit
    )


@patch(
    "/v1/students/{student_id:str}",
    before_request=_OPERATOR,
    summary="Change or disable an account (operators only)",
    tags=_PEOPLE,
    responses=refusals(OwnAccount, LastOperator),
)
async def change_student(
    student_id: FromPath[str], data: JSONBody[identity.ChangeStudent], request: SignedInRequest
) -> identity.StudentAccount:
    """Absent fields do not change. Disabling, or another role, ends all sessions of the account."""
    return await _service(request).change_student(student_id, data, operator=request.user.subject)


@post(
    "/v1/students/{student_id:str}/reset-password",
    status_code=200,
    before_request=_OPERATOR,
    summary="Give an account a one-time password (operators only)",
    tags=_PEOPLE,
    responses=refusals(OwnAccount),
)
async def reset_password(
    student_id: FromPath[str], request: SignedInRequest
) -> Response[identity.OneTimePassword]:
    """Answer a password that signs in only together with a new one, and end all sessions of the account."""
    answer = await _service(request).reset_password(student_id, operator=request.user.subject)
    return Response(answer, headers=NO_STORE)


@get(
    "/v1/students/{student_id:str}/logins",
    before_request=_OPERATOR,
    summary="Read the login audit of a student (operators only)",
    tags=_PEOPLE,
)
async def list_logins(
    request: SignedInRequest,
    student_id: FromPath[str],
    cursor: RowCursor = None,
    limit: PageLimit = DEFAULT_PAGE,
) -> identity.LoginAttempts:
    """List the login attempts, the newest first; of the throttled ones of a client, one in a minute is stored."""
    return await _service(request).list_logins(student_id, cursor=cursor, limit=limit)


@get(
    "/v1/students/{student_id:str}/sessions",
    before_request=_OPERATOR,
    summary="List the sessions of a person (operators only)",
    tags=_PEOPLE,
)
async def list_sessions(request: SignedInRequest, student_id: FromPath[str]) -> identity.Sessions:
    return await _service(request).list_sessions.of_student(student_id, current=request.user.session)


@delete(
    "/v1/students/{student_id:str}/sessions",
    before_request=_OPERATOR,
    summary="End all sessions of a person (operators only)",
    tags=_PEOPLE,
)
async def end_sessions(request: SignedInRequest, student_id: FromPath[str]) -> None:
    """Sign a person out everywhere: within two seconds no service accepts the tokens."""
    await _service(request).end_sessions.all_of(student_id, operator=request.user.subject)


@get("/.well-known/jwks.json", summary="Public keys that verify access tokens", tags=_SESSIONS)
async def publish_keys(request: AnyRequest) -> Response[identity.Jwks]:
    keys = await _service(request).publish_keys()
    return Response(keys, headers={"Cache-Control": f"public, max-age={JWKS_MAX_AGE_S}"})


ROUTES: Sequence[ControllerRouterHandler] = (
    login,
    refresh,
    logout,
    me,
    change_password,
    create_student,
    list_students,
    change_student,
    reset_password,
    list_logins,
    list_my_sessions,
    end_my_session,
    list_sessions,
    end_sessions,
    publish_keys,
)


def _service(request: Request[Any, Any, State]) -> Service:
    service: Service = request.app.state.service
    return service


def _sender(request: AnyRequest) -> Sender:
    peer = request.client.host if request.client else None
    return _service(request).proxies.sender(peer, request.scope["headers"])


def _is_secure(request: AnyRequest) -> bool:
    """Whether the client used https, according to the connection or a trusted proxy."""
    if _service(request).settings.secure_cookies or request.url.scheme == "https":
        return True
    return _sender(request).is_https


def _cookie(request: AnyRequest, name: str) -> str | None:
    """Return a cookie's token. Raises Forbidden if a page of a foreign origin made the browser send it."""
    token = read_cookie(request.scope["headers"], name.encode())
    if token is None:
        return None
    _check_page(request)
    return token.decode("latin-1")


def _check_page(request: AnyRequest) -> None:
    """Raise Forbidden unless the page is of this host or an allowed origin; a client without a page sends no Origin."""
    origin = request.headers.get("origin")
    origins: Origins = request.app.state.origins
    if origin is None:
        return
    if not origins.trusts(_raw(origin), host=_raw(request.headers.get("host", ""))):
        raise Forbidden("Pages of this origin may not use cookies of this service. Nothing was done.")


def _raw(header: str) -> bytes:
    return header.encode("latin-1")


def _answer(session: Session, request: AnyRequest, *, with_cookies: bool) -> Response[identity.Tokens]:
    tokens, renewable_s = session.tokens, session.renewable_s
    values = {
        ACCESS_COOKIE: (tokens.access_token, tokens.expires_in),
        REFRESH_COOKIE: (tokens.refresh_token, renewable_s),
        LOGOUT_COOKIE: (tokens.refresh_token, renewable_s),
    }
    return Response(tokens, headers=NO_STORE, cookies=_cookies(request, values) if with_cookies else [])


def _cookies(request: AnyRequest, values: dict[str, tuple[str, int]]) -> list[Cookie]:
    """Return the three cookies. `values` are tokens and lifetimes in seconds; the browser drops a cookie without one."""
    is_secure = _is_secure(request)
    return [
        Cookie(
            key=name,
            value=values.get(name, ("", 0))[0],
            max_age=values.get(name, ("", 0))[1],
            path=path,
            httponly=True,
            samesite="lax",
            secure=is_secure,
        )
        for name, path in COOKIE_PATHS.items()
    ]
