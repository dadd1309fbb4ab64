"""Start the gateway: `python -m cafeteria.gateway`."""

from cafeteria.chassis.server import run
from cafeteria.contracts.bus import GATEWAY
from cafeteria.gateway.app import create_app
from cafeteria.gateway.settings import GatewaySettings

if __name__ == "__main__":
    run(GATEWAY, create_app, GatewaySettings)
