"""Identity's door on the bus: its public keys, for whoever verifies tokens."""

from cafeteria.chassis.messaging import Bus
from cafeteria.contracts import identity
from cafeteria.contracts.subjects import JWKS
from cafeteria.identity.service import Identity


async def answer_requests(bus: Bus, service: Identity) -> None:
    """From now on, or from the first connection on."""

    async def jwks(_: identity.AskJwks) -> identity.Jwks:
        return service.jwks

    await bus.serve(JWKS, jwks)
