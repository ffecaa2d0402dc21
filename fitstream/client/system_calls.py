"""Calls about the system itself, single jobs and models, and OAuth's own endpoints."""

from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from fitstream.client.access import (
    DeviceCodes,
    Introspected,
    OAuthClient,
    ServerMetadata,
    Staff,
    TokenAnswer,
)
from fitstream.client.data import Health, Items, Readiness
from fitstream.client.http import Api, Call
from fitstream.client.operations import Job, Model, ModelCard
from fitstream.client.uploads import MappingSource, SchemaMapping, Uploads

T = TypeVar("T")
_READ_ATTEMPTS = 3
_FORM = "application/x-www-form-urlencoded"


class SystemCalls:
    """The part of `Client` that is about the system, and what programs ask of it."""

    _api: Api

    def uploads(self, customer_id: str = "") -> Uploads:
        """The calls about files of rows, of all customers or of one."""
        return Uploads(self._api, customer_id)

    async def mapping_sources(self, customer_id: str, after: str = "") -> Items[MappingSource]:
        """A page of the mappings that a customer's files may name, by name."""
        path = f"/v1/customers/{_quoted(customer_id)}/mappings"
        return await self._fetch(path, Items[MappingSource], after=after)

    async def health(self) -> Health:
        """Whether the process runs."""
        return await self._fetch("/healthz", Health)

    async def readiness(self) -> Readiness:
        """Whether it can do its work; raises Unavailable when not."""
        return await self._fetch("/readyz", Readiness)

    async def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return await self._fetch("/v1/openapi.json", dict[str, Any])

    async def model(self, model_id: str) -> Model:
        """One model."""
        return await self._fetch(f"/v1/models/{_quoted(model_id)}", Model)

    async def model_card(self, model_id: str) -> ModelCard:
        """A model with its card."""
        return await self._fetch(f"/v1/models/{_quoted(model_id)}/card", ModelCard)

    async def promote_model(self, model_id: str) -> Model:
        """Puts a model to use in place of the champion; raises NotFound."""
        return await self._order(f"/v1/models/{_quoted(model_id)}/promote", Model)

    async def roll_back_model(self, model_id: str) -> Model:
        """Goes back from a champion to the model before it, which is returned.

        Raises NotFound, Conflict(not_serving), Conflict(no_earlier_model).
        """
        return await self._order(f"/v1/models/{_quoted(model_id)}/roll-back", Model)

    async def retire_model(self, model_id: str) -> Model:
        """Takes a model out of use; raises NotFound."""
        return await self._order(f"/v1/models/{_quoted(model_id)}/retire", Model)

    async def cancel_job(self, job_id: str) -> Job:
        """Asks a job to stop; raises Conflict(done)."""
        return await self._order(f"/v1/jobs/{_quoted(job_id)}/cancel", Job)

    async def retry_job(self, job_id: str) -> Job:
        """Does a failed job again; raises Conflict(not_failed)."""
        return await self._order(f"/v1/jobs/{_quoted(job_id)}/retry", Job)

    async def mappings(self, programme: str = "", after: str = "") -> Items[SchemaMapping]:
        """A page of mappings of files in their newest versions."""
        query = {"programme": programme, "after": after}
        return await self._fetch("/v1/mappings", Items[SchemaMapping], **query)

    async def staff_member(self, account_id: str) -> Staff:
        """One account of the staff."""
        return await self._fetch(f"/v1/staff/{_quoted(account_id)}", Staff)

    async def oauth_client(self, client_id: str) -> OAuthClient:
        """One OAuth client."""
        return await self._fetch(f"/v1/oauth/clients/{_quoted(client_id)}", OAuthClient)

    # OAuth's own endpoints: forms, answered as its standards say
    async def oauth_metadata(self) -> ServerMetadata:
        """Where everything is, RFC 8414."""
        return await self._fetch("/.well-known/oauth-authorization-server", ServerMetadata)

    async def oauth_token(self, grant_type: str, **form: str) -> TokenAnswer:
        """Tokens for a grant; raises Rejected when there are none."""
        return await self._form("token", TokenAnswer, {"grant_type": grant_type, **form})

    async def oauth_device(self, client_id: str, **form: str) -> DeviceCodes:
        """Codes for a device without a browser, RFC 8628."""
        return await self._form("device", DeviceCodes, {"client_id": client_id, **form})

    async def oauth_revoke(self, token: str, **form: str) -> None:
        """Ends a token and its family, RFC 7009."""
        await self._form("revoke", dict[str, str], {"token": token, **form})

    async def oauth_introspect(self, token: str, **form: str) -> Introspected:
        """What a token is good for, RFC 7662."""
        return await self._form("introspect", Introspected, {"token": token, **form})

    async def _fetch(self, path: str, kind: type[T], **query: str) -> T:
        asked = {name: value for name, value in query.items() if value}
        call = Call("GET", path, asked, attempts=_READ_ATTEMPTS)
        return msgspec.json.decode((await self._api.send(call)).body, type=kind)

    async def _order(self, path: str, kind: type[T]) -> T:
        return msgspec.json.decode((await self._api.send(Call("POST", path))).body, type=kind)

    async def _form(self, name: str, kind: type[T], form: dict[str, str]) -> T:
        body = urlencode(form).encode()
        call = Call("POST", f"/v1/oauth/{name}", body=body, content_type=_FORM)
        return msgspec.json.decode((await self._api.send(call)).body, type=kind)


def _quoted(text: str) -> str:
    return quote(text, safe="")
