"""Telling alerts to the outside: chat, mail and webhooks, in the background."""

from notify.notifier import Notifier

__all__ = ["Notifier"]
