"""Identity's inbound messages: requests for the public keys that verify tokens."""

from cafeteria.chassis.messaging.message_handlers import Handler
from cafeteria.contracts.identity import FetchJwks, Jwks
from cafeteria.contracts.subjects import JWKS
from cafeteria.identity.use_cases import Service


async def publish_keys(service: Service, _: FetchJwks) -> Jwks:
    return await service.publish_keys()


HANDLERS: tuple[Handler[Service], ...] = (Handler(rpc=JWKS, answer=publish_keys),)
