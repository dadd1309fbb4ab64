"""Start stock: `python -m cafeteria.stock`."""

from cafeteria.chassis.server import run
from cafeteria.chassis.settings import ServiceSettings
from cafeteria.contracts.bus import STOCK
from cafeteria.stock.app import create_app

if __name__ == "__main__":
    run(STOCK, create_app, ServiceSettings)
