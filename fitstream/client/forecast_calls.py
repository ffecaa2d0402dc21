"""Calls about forecasts: the latest, those of the past, what they rest on, how good they were."""

from typing import TypeVar
from urllib.parse import quote

import msgspec

from fitstream.client.data import Forecast, Items
from fitstream.client.forecasts import Explained, ForecastScores, Horizon, IssuedForecast
from fitstream.client.http import Api, Call
from fitstream.client.operations import JobAsked

T = TypeVar("T")
_READ_ATTEMPTS = 3


class ForecastCalls:
    """The part of `Client` that is about forecasts."""

    _api: Api

    async def forecast(
        self, customer_id: str, target: str = "steps", horizon: Horizon = "96"
    ) -> Forecast:
        """The latest forecast of a target; raises NotFound when there is none."""
        query = {"target": target, "horizon": horizon}
        return await self._told(f"{_of(customer_id)}/latest", Forecast, query)

    async def forecast_explained(
        self, customer_id: str, target: str = "steps", horizon: Horizon = "96"
    ) -> Explained:
        """What the latest forecast of a target rests on; raises NotFound."""
        query = {"target": target, "horizon": horizon}
        return await self._told(f"{_of(customer_id)}/latest/explanation", Explained, query)

    async def forecasts(
        self,
        customer_id: str,
        target: str = "steps",
        horizon: Horizon = "96",
        after: str = "",
        limit: int = 50,
    ) -> Items[IssuedForecast]:
        """A page of what was issued, newest first, with scores where the truth has arrived."""
        query = {"target": target, "horizon": horizon, "after": after, "limit": str(limit)}
        return await self._told(_of(customer_id), Items[IssuedForecast], query)

    async def past_forecast(
        self, customer_id: str, forecast_id: str, target: str = "steps"
    ) -> Forecast:
        """A forecast as it was issued; raises NotFound."""
        path = f"{_of(customer_id)}/{quote(forecast_id, safe='')}"
        return await self._told(path, Forecast, {"target": target})

    async def past_forecast_explained(
        self, customer_id: str, forecast_id: str, target: str = "steps"
    ) -> Explained:
        """What a forecast rested on when it was issued; raises NotFound."""
        path = f"{_of(customer_id)}/{quote(forecast_id, safe='')}/explanation"
        return await self._told(path, Explained, {"target": target})

    async def make_forecasts(self, customer_id: str) -> str:
        """Asks for forecasts of all horizons now; the id of their job."""
        call = Call("POST", _of(customer_id))
        return msgspec.json.decode((await self._api.send(call)).body, type=JobAsked).job

    async def forecast_scores(self, **query: str) -> ForecastScores:
        """How good forecasts were of late; takes `model`, `target`, `days`."""
        return await self._told("/v1/forecast-scores", ForecastScores, query)

    async def _told(self, path: str, kind: type[T], query: dict[str, str]) -> T:
        asked = {name: value for name, value in query.items() if value}
        call = Call("GET", path, asked, attempts=_READ_ATTEMPTS)
        return msgspec.json.decode((await self._api.send(call)).body, type=kind)


def _of(customer_id: str) -> str:
    return f"/v1/customers/{quote(customer_id, safe='')}/forecasts"
