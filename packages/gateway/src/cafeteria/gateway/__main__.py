"""Start the gateway: `python -m cafeteria.gateway`."""

from cafeteria.chassis.process import run
from cafeteria.contracts.subjects import GATEWAY
from cafeteria.gateway.app import create_app
from cafeteria.gateway.settings import GatewaySettings

if __name__ == "__main__":
    run(GATEWAY, create_app, GatewaySettings)
