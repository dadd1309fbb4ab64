"""`python -m cafeteria.identity`."""

from cafeteria.chassis.process import run
from cafeteria.contracts.subjects import IDENTITY
from cafeteria.identity.app import create_app
from cafeteria.identity.settings import IdentitySettings

if __name__ == "__main__":
    run(IDENTITY, create_app, IdentitySettings)
