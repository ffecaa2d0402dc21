"""The fleet's way to a real gateway: one attempt per call, the fleet itself decides on another."""

import msgspec

from fitstream.client import Api, Client
from fitstream.client.data import Receipt
from fitstream.client.http import Call
from fitstream.simulate.enrol import Enrolled, Wanted, enrol

DEVICE_NAME = "simulated"
_receipt = msgspec.json.Decoder(Receipt).decode


class ApiGateway:
    """Enrols and posts through the public API, with an administrator's and the devices' keys."""

    def __init__(self, api: Api, seed: int) -> None:
        self._api = api
        self._admin = Client(api)
        self._seed = seed

    async def enrol(self, number: int, zone: str) -> Enrolled:
        """Customer `sim-<seed>-<number>` and its device, made now or found with a new key."""
        wanted = Wanted(
            f"sim-{self._seed}-{number}",
            DEVICE_NAME,
            zone,
            "phone" if number % 3 == 0 else "watch",
            {"name": f"Simulated {number}", "consents": {"training": True}},
        )
        return await enrol(self._admin, wanted, patience_s=0.0)

    async def post(self, key: str, body: bytes) -> Receipt:
        """The receipt of one post."""
        answer = await self._api.as_who(key).send(Call("POST", "/v1/samples", body=body))
        return _receipt(answer.body)
