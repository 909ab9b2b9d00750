"""Requests made up from the OpenAPI document: no 5xx, and every answer as it promises."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from api import security
from api.access import TokenBuckets
from api.app import create_api
from tests.api_fakes import HOST, FakeServices, make_app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),
]
EXAMPLES = 40
NOT_SET = ("", "null", "None", None, {}, [])  # `hedge_window=` and `=null` in a URL are "not set"
HEADERS = {"Host": HOST.removeprefix("http://")}
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
OPERATIONS = [
    pytest.param(method.upper(), path, mode, id=f"{method.upper()} {path} {mode.value}")
    for path, methods in create_api(lambda: None).openapi()["paths"].items()
    for method, operation in methods.items()
    for mode in (POSITIVE, NEGATIVE)
    if mode is POSITIVE or "parameters" in operation or "requestBody" in operation
]


class Unlimited(TokenBuckets):
    """No rate limit: it would answer for the routes."""

    def take(self, client, now_s):
        return 0.0


@pytest.fixture(scope="module")
def document():
    services = FakeServices(with_store=True)
    services.store.writer.flush(10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(security, "TokenBuckets", Unlimited)
        app = make_app(services)
        yield schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=HEADERS)
    services.close()


@pytest.mark.parametrize(("method", "path", "mode"), OPERATIONS)
def test_answers_are_as_the_document_promises(document, method, path, mode):
    operation = document[path][method]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case):
        # Rules that tie fields together refuse data that fits each field's own schema.
        excluded = [positive_data_acceptance]
        if any(value in NOT_SET for value in (case.query or {}).values()):
            excluded.append(negative_data_rejection)
        case.call_and_validate(headers=HEADERS, excluded_checks=excluded)

    check()
