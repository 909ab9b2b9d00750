"""Alerts at work; the machine itself is `analytics.alerts`."""

from alerts.service import AlertService

__all__ = ["AlertService"]
