"""`python -m cafeteria.notification`"""

from cafeteria.chassis.process import run
from cafeteria.contracts.subjects import NOTIFICATION
from cafeteria.notification.app import create_app
from cafeteria.notification.settings import NotificationSettings

if __name__ == "__main__":
    run(NOTIFICATION, create_app, NotificationSettings)
