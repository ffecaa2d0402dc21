"""What of a person an analyst does not see: everything but ids, figures and coarse facts. Pure."""

from typing import Any

from fitstream.gateway.principal import Principal

PERSONAL = ("external_id", "email", "name", "birth_date", "picture")


def masked(principal: Principal, fields: dict[str, Any]) -> dict[str, Any]:
    """A person's fields as the caller may see them: for analysts the personal ones are null."""
    if not hides_persons(principal):
        return fields
    return {name: None if name in PERSONAL else value for name, value in fields.items()}


def masked_device(principal: Principal, fields: dict[str, Any]) -> dict[str, Any]:
    """A device as the caller may see it: people give devices their own names."""
    return fields | {"name": fields["kind"]} if hides_persons(principal) else fields


def hides_persons(principal: Principal) -> bool:
    """Whether the caller must not learn who somebody is."""
    return principal.role == "analyst"
