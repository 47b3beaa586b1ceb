"""The event log on SQLite, its readers, and the lock that says which engine owns a state folder."""

from engine.store.errors import StoreError
from engine.store.files import DATABASE_NAME, LOCK_NAME, prepare_folder
from engine.store.lock import EngineLock, EngineRunning, Holder, read_holder
from engine.store.log import EventLog, wall_clock
from engine.store.reader import LogReader, open_readonly
from engine.store.retention import DAY_MS
from engine.store.subscription import Subscription
from engine.store.webhooks import WebhookQuery, WebhookRow

__all__ = [
    "DATABASE_NAME",
    "DAY_MS",
    "LOCK_NAME",
    "EngineLock",
    "EngineRunning",
    "EventLog",
    "Holder",
    "LogReader",
    "StoreError",
    "Subscription",
    "WebhookQuery",
    "WebhookRow",
    "open_readonly",
    "prepare_folder",
    "read_holder",
    "wall_clock",
]
