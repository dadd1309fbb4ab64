"""`python -m cafeteria.kitchen`"""

from cafeteria.chassis.process import run
from cafeteria.contracts.subjects import KITCHEN
from cafeteria.kitchen.app import create_app
from cafeteria.kitchen.settings import KitchenSettings

if __name__ == "__main__":
    run(KITCHEN, create_app, KitchenSettings)
