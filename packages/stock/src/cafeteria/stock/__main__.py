"""`python -m cafeteria.stock`"""

from cafeteria.chassis.process import run
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.subjects import STOCK
from cafeteria.stock.app import create_app

if __name__ == "__main__":
    run(STOCK, create_app, ServiceSettings)
