"""Request bodies described in OpenAPI from the models that check them, with nothing required."""

from typing import Any

from pydantic import BaseModel

from api.errors import ApiError


def body_of(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI `requestBody` of a partial `model`: every field may be left out."""
    schema = inlined(model.model_json_schema())
    schema.pop("required", None)
    schema["additionalProperties"] = False
    schema["description"] = f"Any fields of {model.__name__}; the others stay as they are."
    for field in schema["properties"].values():
        field.pop("default", None)
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON schema with its `$defs` put where they are referred to."""
    defs = schema.pop("$defs", {})

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                name = value["$ref"].rsplit("/", 1)[1]
                others = {key: item for key, item in value.items() if key != "$ref"}
                return {**replaced(defs[name]), **replaced(others)}
            return {key: replaced(item) for key, item in value.items()}
        if isinstance(value, list):
            return [replaced(item) for item in value]
        return value

    found: dict[str, Any] = replaced(schema)
    return found


def without_marks(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without what our own answers add, so that an answer can be sent back.

    Raises:
        ApiError: nothing is left.
    """
    values = {name: value for name, value in body.items() if name != "simulated"}
    if not values:
        raise ApiError(422, "the body must name at least one field")
    return values
