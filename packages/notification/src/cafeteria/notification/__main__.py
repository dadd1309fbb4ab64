"""Start notification: `python -m cafeteria.notification`."""

from cafeteria.chassis.server import run
from cafeteria.chassis.settings import ServiceSettings
from cafeteria.contracts.bus import NOTIFICATION
from cafeteria.notification.app import create_app

if __name__ == "__main__":
    run(NOTIFICATION, create_app, ServiceSettings)
