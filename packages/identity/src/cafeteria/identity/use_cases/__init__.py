"""What identity does, a use case to a file. No password is hashed inside a transaction."""

from cafeteria.chassis.http.forwarding import TrustedProxies
from cafeteria.chassis.service import ServiceParts
from cafeteria.identity.device_cookies import DeviceCookies
from cafeteria.identity.revocations import Revocations
from cafeteria.identity.settings import IdentitySettings
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


class Service(ServiceParts, frozen=True, kw_only=True):
    """Identity, as its routes, message handlers and jobs see it.

    `proxies` finds the client of a request; `devices` recognises its device.
    """

    settings: IdentitySettings
    proxies: TrustedProxies
    devices: DeviceCookies
    log_in: LogIn
    refresh_tokens: RefreshTokens
    log_out: LogOut
    change_password: ChangePassword
    create_student: CreateStudent
    change_student: ChangeStudent
    reset_password: ResetPassword
    read_student: ReadStudent
    list_students: ListStudents
    list_logins: ListLogins
    publish_keys: PublishKeys
    purge_logins: PurgeLogins
    list_sessions: ListSessions
    end_sessions: EndSessions
    revocations: Revocations
