"""Identity's inbound messages: requests for what verifies tokens: public keys and ended sessions."""

from cafeteria.chassis.messaging.message_handlers import Handler
from cafeteria.contracts.identity import FetchJwks, JwksAnswered
from cafeteria.contracts.subjects import JWKS
from cafeteria.identity.use_cases import Service


async def publish_keys(service: Service, request: FetchJwks) -> JwksAnswered:
    return await service.publish_keys.with_revocations(request)


HANDLERS: tuple[Handler[Service], ...] = (Handler(rpc=JWKS, answer=publish_keys),)
