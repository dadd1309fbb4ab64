"""The composition root: builds identity's parts and connects them. The chassis opens, serves and closes them."""

from datetime import timedelta

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.auth.revoked_sessions import RevokedSessions
from cafeteria.chassis.database.database import ANSWER_WITHIN_S, Database
from cafeteria.chassis.http.forwarding import TrustedProxies
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.service import Declarations, service_app
from cafeteria.contracts.subjects import IDENTITY
from cafeteria.identity.domain import LoginLimits, SessionLimits
from cafeteria.identity.http_api import ROUTES
from cafeteria.identity.jobs import JOBS
from cafeteria.identity.message_handlers import HANDLERS
from cafeteria.identity.password_hashing import PasswordHashing, usable_cores
from cafeteria.identity.password_rules import PasswordRules
from cafeteria.identity.revocations import Revocations
from cafeteria.identity.settings import IdentitySettings
from cafeteria.identity.signing_keys import SigningKeys
from cafeteria.identity.token_issuer import TokenIssuer
from cafeteria.identity.use_cases import Service
from cafeteria.identity.use_cases.change_password import ChangePassword
from cafeteria.identity.use_cases.change_student import ChangeStudent
from cafeteria.identity.use_cases.create_student import CreateStudent
from cafeteria.identity.use_cases.end_sessions import EndSessions
from cafeteria.identity.use_cases.list_logins import ListLogins
from cafeteria.identity.use_cases.list_sessions import ListSessions
from cafeteria.identity.use_cases.list_students import ListStudents
from cafeteria.identity.use_cases.log_in import LogIn
from cafeteria.identity.use_cases.log_out import LogOut
from cafeteria.identity.use_cases.publish_keys import PublishKeys
from cafeteria.identity.use_cases.purge_logins import PurgeLogins
from cafeteria.identity.use_cases.read_student import ReadStudent
from cafeteria.identity.use_cases.refresh_tokens import RefreshTokens
from cafeteria.identity.use_cases.reset_password import ResetPassword

DECLARED = Declarations[Service](routes=ROUTES, handlers=HANDLERS, jobs=JOBS, logs_clients=True)


def create_app(settings: IdentitySettings) -> ServiceApp:
    """Build the app. It opens its connections when it starts. Raises SigningKeyUnusable."""
    return service_app(build, settings, DECLARED)


def build(settings: IdentitySettings) -> Service:
    """Build the parts; this reads the key files, and opens nothing."""
    signing_keys = SigningKeys.load(settings.signing_key_file, older_key_files=settings.older_key_files)
    database = Database.connect(settings, service=IDENTITY)
    request_database = database.within(ANSWER_WITHIN_S)
    password_hashing = _password_hashing(settings)
    checking = (request_database, password_hashing, PasswordRules.load())
    issuer = TokenIssuer(signing_keys, access_token_s=settings.access_token_s)
    limits = _login_limits(settings)
    bus, revoked = Bus(settings, service=IDENTITY), RevokedSessions()
    revocations = Revocations(request_database, bus, revoked)
    publish_keys = PublishKeys(signing_keys, revocations)
    sessions = _session_limits(settings)
    return Service(
        settings=settings,
        database=database,
        bus=bus,
        resources=(password_hashing,),
        keys=KeySource(publish_keys.for_this_process, revoked=revoked),
        proxies=TrustedProxies(settings.trusted_networks()),
        log_in=LogIn(*checking, issuer, revocations, limits=limits, sessions=sessions),
        refresh_tokens=RefreshTokens(request_database, issuer, revocations, limits=sessions),
        log_out=LogOut(request_database, revocations),
        change_password=ChangePassword(*checking, revocations, limits=limits),
        change_student=ChangeStudent(request_database, revocations),
        reset_password=ResetPassword(request_database, password_hashing, revocations),
        create_student=CreateStudent(*checking),
        read_student=ReadStudent(request_database),
        list_students=ListStudents(request_database),
        list_logins=ListLogins(request_database),
        publish_keys=publish_keys,
        purge_logins=PurgeLogins(database, window=limits.window, session_idle=sessions.idle),
        list_sessions=ListSessions(request_database, idle=sessions.idle),
        end_sessions=EndSessions(request_database, revocations),
        revocations=revocations,
    )


def _session_limits(settings: IdentitySettings) -> SessionLimits:
    return SessionLimits(
        lifetime=timedelta(seconds=settings.session_s), idle=timedelta(seconds=settings.session_idle_s)
    )


def _login_limits(settings: IdentitySettings) -> LoginLimits:
    return LoginLimits(
        per_client=settings.logins_per_client,
        per_student=settings.logins_per_student,
        window=timedelta(seconds=settings.login_window_s),
    )


def _password_hashing(settings: IdentitySettings) -> PasswordHashing:
    return PasswordHashing(
        threads=settings.hash_threads or usable_cores(),
        queue_limit=settings.hash_queue,
        niceness=settings.hash_niceness,
    )
