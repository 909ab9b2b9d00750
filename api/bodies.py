"""Request bodies described in OpenAPI from the models that check them, with nothing required."""

from typing import Any

from pydantic import BaseModel

from api.errors import ApiError

FLAGS = ("enabled",)


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


def values_of(body: dict[str, Any], *, may_be_empty: bool = False) -> dict[str, Any]:
    """Return a body's values without what our own answers add, so that these can be sent back.

    Raises:
        ApiError: nothing is left, or true or false stands where a number or a word belongs.
    """
    values = {name: value for name, value in body.items() if name != "simulated"}
    if not values and not may_be_empty:
        raise ApiError(422, "the body must name at least one field")
    for name, value in values.items():
        if isinstance(value, bool) and name not in FLAGS:
            raise ApiError(422, f"{name} must not be true or false", field=name)
    return values
