"""Signing in: the token is asked for once and kept as a signed cookie no script can read."""

import time

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse, Response

from api.access import COOKIE_MAX_AGE_S, COOKIE_NAME, is_cookie, is_token, issue_cookie
from api.errors import ApiError, documented
from api.ports import GetServices
from api.responses import Json

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sign in</title>
<style>
 :root{color-scheme:dark} body{font:15px system-ui,sans-serif;background:#0e1117;color:#e6e9ef;
 display:grid;place-items:center;min-height:100vh;margin:0}
 form{background:#161a23;border:1px solid #2a3040;border-radius:8px;padding:24px;width:300px}
 h1{font-size:18px;font-weight:500;margin:0 0 16px} label{display:block;margin-bottom:6px}
 input,button{box-sizing:border-box;width:100%;padding:9px;border-radius:6px;font:inherit}
 input{border:1px solid #2a3040;background:#0e1117;color:inherit}
 button{margin-top:14px;border:0;background:#3b82f6;color:#fff;cursor:pointer}
 p{color:#f87171;min-height:1.3em;margin:10px 0 0}
</style>
<form><h1>Pairs workstation</h1><label for="token">Access token</label>
<input id="token" type="password" autocomplete="current-password" autofocus required>
<button>Sign in</button><p role="alert"></p></form>
<script>
 const open = () => location.replace("/");
 fetch("/api/login?check=1").then(r => r.ok && r.json()).then(a => a && a.signed_in && open());
 document.querySelector("form").addEventListener("submit", async event => {
  event.preventDefault();
  const answer = await fetch("/api/login", {method: "POST",
   headers: {"Content-Type": "application/json"},
   body: JSON.stringify({token: document.querySelector("input").value})});
  if (answer.ok) return open();
  document.querySelector("p").textContent = (await answer.json()).error.message;
 });
</script></html>
"""


class LoginBody(BaseModel):
    """What the sign-in page sends."""

    token: str = Field(max_length=1000, examples=["the value of PAIRS_API_TOKEN"])


class LoginAnswer(BaseModel):
    """Whether the caller's cookie (or an open server) lets it in."""

    signed_in: bool


def login_routes(get_services: GetServices) -> APIRouter:
    """Return the sign-in page and its route."""
    router = APIRouter(tags=["access"])

    @router.get(
        "/login",
        responses={
            200: {"content": {"text/html": {}, "application/json": {}}},
            **documented(422, 429),
        },
        response_class=Response,
    )
    def login_page(request: Request, check: bool = False) -> Response:
        """The sign-in page; with `check=1` tell as JSON whether the caller is signed in."""
        if not check:
            return HTMLResponse(PAGE, headers={"Cache-Control": "no-store"})
        token = get_services().settings.api_token
        cookie = request.cookies.get(COOKIE_NAME, "")
        is_in = token is None or is_cookie(cookie, token.get_secret_value(), time.time())
        return Json({"signed_in": is_in}, headers={"Cache-Control": "no-store"})

    @router.post(
        "/login",
        responses={200: {"model": LoginAnswer}, **documented(400, 401, 403, 413, 415, 422, 429)},
    )
    def login(request: Request, body: LoginBody) -> Response:
        """Exchange the token for the cookie (HttpOnly, SameSite=Strict, 30 days)."""
        token = get_services().settings.api_token
        response = Json({"signed_in": True})
        if token is None:
            return response
        if not is_token(body.token, token.get_secret_value()):
            raise ApiError(401, "the token is wrong", field="token")
        forwarded = request.headers.get("x-forwarded-proto", request.url.scheme)
        response.set_cookie(
            COOKIE_NAME,
            issue_cookie(token.get_secret_value(), time.time()),
            max_age=COOKIE_MAX_AGE_S,
            path="/",
            httponly=True,
            samesite="strict",
            secure=forwarded == "https",
        )
        return response

    return router
