"""Chat, mail and push services through the notification library, imported with this module."""

import logging
from collections.abc import Mapping
from typing import Any

import apprise

from model import ConfigError
from notify.addresses import find_refused

# The library logs addresses when a delivery fails, and those hold tokens.
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)


class Service:
    """One address in the library's URL form."""

    def __init__(self, url: str) -> None:
        """Take in an address.

        Raises:
            ConfigError: the library does not know it.
        """
        try:
            target = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        except Exception:  # plugins of a hundred services: some stumble over an odd address
            target = None
        if target is None:
            scheme = url.partition("://")[0][:20]
            raise ConfigError(
                f"a target must be in the notification library's URL form, was {scheme}://…",
                field="url",
            )
        # Where a redirect leads was never looked at.
        target.redirects = False
        self._target = target
        found = (getattr(target, name, None) for name in ("host", "smtp_host"))
        self.hosts = tuple(host for host in found if isinstance(host, str) and host)
        self.name = str(target.url(privacy=True)).partition("?")[0]

    def deliver(self, title: str, body: str, event: Mapping[str, Any]) -> str:
        """Send an event's text; return "" or why it was not taken."""
        kind = (
            apprise.NotifyType.INFO if event.get("kind") == "exit" else apprise.NotifyType.WARNING
        )
        refusal = find_refused(self.hosts)
        if refusal:
            return refusal
        try:
            is_taken = self._target.notify(body=body, title=title, notify_type=kind)
        except Exception as error:  # plugins of a hundred services: any of them may raise
            return type(error).__name__
        return "" if is_taken else "the service did not take it"
