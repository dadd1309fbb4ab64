"""`python -m cafeteria.notification`"""

from cafeteria.chassis.process import run
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.subjects import NOTIFICATION
from cafeteria.notification.app import create_app

if __name__ == "__main__":
    run(NOTIFICATION, create_app, ServiceSettings)
