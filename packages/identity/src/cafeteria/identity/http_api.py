"""The HTTP routes of identity: logins and tokens for everybody, and the accounts for operators.

A browser that asks for cookies gets three, all HttpOnly: the access token for every path, and the refresh token
twice, each only for the path that needs it, because a cookie has one path and no other request should carry the token.
Every login also leaves a device cookie, which gives no access: by it a later login is known to come from this browser.
"""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, patch, post, put
from litestar.datastructures import Cookie, State
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from cafeteria.chassis.auth.tokens import ACCESS_COOKIE, SignedInRequest, requires
from cafeteria.chassis.http.cookies import SecretCookie
from cafeteria.chassis.http.forwarding import Sender
from cafeteria.chassis.http.openapi import refusals
from cafeteria.chassis.http.pagination import DEFAULT_PAGE, PageLimit, RowCursor
from cafeteria.chassis.http.trusted_pages import TrustedPages
from cafeteria.chassis.runtime.errors import Forbidden
from cafeteria.contracts import identity
from cafeteria.contracts.values import Role
from cafeteria.identity.device_cookies import LIFETIME_S
from cafeteria.identity.domain import LoginClient
from cafeteria.identity.errors import (
    InvalidCredentials,
    LastOperator,
    OwnAccount,
    PasswordChangeRequired,
    RefreshRefused,
    StudentIdTaken,
    TokensNowhere,
    TooManyAttempts,
    WrongPassword,
)
from cafeteria.identity.token_issuer import Session
from cafeteria.identity.use_cases import Service

REFRESH_COOKIE = SecretCookie("cafeteria_refresh", path="/v1/token")
LOGOUT_COOKIE = SecretCookie("cafeteria_logout", path="/v1/logout")
DEVICE_COOKIE = SecretCookie("cafeteria_device", path="/v1/login")
SESSION_COOKIES = (ACCESS_COOKIE, REFRESH_COOKIE, LOGOUT_COOKIE)

JWKS_MAX_AGE_S = 300  # services get a new key over the bus at once; browsers and tools may wait this long

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
TokensOrSession = identity.Tokens | identity.Session


@post(
    "/v1/login",
    status_code=200,
    summary="Sign in",
    tags=_SESSIONS,
    responses=refusals(InvalidCredentials, Forbidden, PasswordChangeRequired, TooManyAttempts),
)
async def login(data: JSONBody[identity.Login], request: AnyRequest) -> Response[TokensOrSession]:
    """Allow three attempts a minute for each student id and network; right ones count, too.

    A device that has signed in for this student id before has three a minute of its own. A one-time password signs in
    only together with `new_password`, which replaces it and ends all other sessions. With `cookie` and without `tokens`
    the answer is a Session: cookies alone bring the tokens, and no script of a page can read them.
    """
    _check_way(request, by_cookies=data.cookie, by_body=data.tokens)
    session = await _service(request).log_in(data, _login_client(request, data.student_id))
    cookies = _session_cookies(session, request) if data.cookie else []
    return _answer(session, [*cookies, *_device_cookie(session, request)], with_tokens=data.tokens)


@post(
    "/v1/token/refresh",
    status_code=200,
    summary="Trade a refresh token for new tokens",
    tags=_SESSIONS,
    responses=refusals(RefreshRefused, Forbidden),
)
async def refresh(
    request: AnyRequest, data: JSONBody[identity.RefreshToken | None] = None
) -> Response[TokensOrSession]:
    """Accept a refresh token for 10 s from its first use; a later use ends its session. Without a body the cookie counts."""
    body = data or identity.RefreshToken()
    with_cookies = body.cookie or not body.refresh_token
    _check_way(request, by_cookies=with_cookies, by_body=body.tokens)
    session = await _service(request).refresh_tokens(body.refresh_token or _cookie(request, REFRESH_COOKIE))
    cookies = [*_session_cookies(session, request), *_device_cookie(session, request)] if with_cookies else []
    return _answer(session, cookies, with_tokens=body.tokens)


@post("/v1/logout", status_code=204, summary="End the session", tags=_SESSIONS, responses=refusals(Forbidden))
async def logout(request: AnyRequest, data: JSONBody[identity.Logout | None] = None) -> Response[None]:
    """End the session of a refresh token; an unknown or expired one is fine. Without a body the cookie counts."""
    pages = _pages(request)
    pages.check(request)
    token = (data.refresh_token if data else None) or _cookie(request, LOGOUT_COOKIE)
    if token:
        await _service(request).log_out(token)
    is_secure = pages.is_https(request)
    removed = [cookie.removed(is_secure=is_secure) for cookie in SESSION_COOKIES]
    return Response(None, status_code=204, cookies=removed)


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
    """`expires_in` is the rest of the life of the access token, in seconds: renew the session before."""
    return await _service(request).read_student(request.user)


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
    return Response(answer)


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


def _pages(request: AnyRequest) -> TrustedPages:
    pages: TrustedPages = request.app.state.pages
    return pages


def _cookie(request: AnyRequest, cookie: SecretCookie) -> str | None:
    token = cookie.read(request.scope["headers"], is_https_alone=_pages(request).is_https_alone)
    return None if token is None else token.decode("latin-1")


def _login_client(request: AnyRequest, student_id: str) -> LoginClient:
    """The client of a login. The cookies of a page that is not trusted do not count."""
    headers = request.scope["headers"] if _pages(request).trusts(request) else []
    held = REFRESH_COOKIE.read_all(headers)
    return LoginClient(
        address=_sender(request).address,
        user_agent=request.headers.get("user-agent"),
        device=_service(request).devices.read(DEVICE_COOKIE.read_all(headers), student_id=student_id),
        refresh_token=held[0].decode("latin-1") if held else None,
    )


def _check_way(request: AnyRequest, *, by_cookies: bool, by_body: bool) -> None:
    """Check before anything is done how the tokens get to the client. Raises OriginRefused and TokensNowhere."""
    if by_cookies:
        _pages(request).check(request)
    elif not by_body:
        raise TokensNowhere


def _answer(session: Session, cookies: Sequence[Cookie], *, with_tokens: bool) -> Response[TokensOrSession]:
    body = session.tokens if with_tokens else _without_tokens(session)
    return Response(body, cookies=cookies)


def _without_tokens(session: Session) -> identity.Session:
    owner = session.profile
    return identity.Session(
        student_id=owner.student_id,
        role=owner.role,
        full_name=owner.full_name,
        expires_in=session.tokens.expires_in,
    )


def _session_cookies(session: Session, request: AnyRequest) -> list[Cookie]:
    tokens, is_secure = session.tokens, _pages(request).is_https(request)
    values = (
        (ACCESS_COOKIE, tokens.access_token, tokens.expires_in),
        (REFRESH_COOKIE, tokens.refresh_token, session.renewable_s),
        (LOGOUT_COOKIE, tokens.refresh_token, session.renewable_s),
    )
    return [
        cookie.set_to(value, max_age_s=max_age_s, is_secure=is_secure) for cookie, value, max_age_s in values
    ]


def _device_cookie(session: Session, request: AnyRequest) -> list[Cookie]:
    """The cookie by which the browser is known at its next login; none for a page that is not trusted."""
    pages = _pages(request)
    if not pages.trusts(request):
        return []
    sent = DEVICE_COOKIE.read_all(request.scope["headers"])
    value = _service(request).devices.renew(
        sent, student_id=session.profile.student_id, session=session.session_id
    )
    return [DEVICE_COOKIE.set_to(value, max_age_s=LIFETIME_S, is_secure=pages.is_https(request))]
