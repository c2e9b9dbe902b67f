"""The laws, a file a noun: functions that take a `store` on an empty database and know only the interface."""
