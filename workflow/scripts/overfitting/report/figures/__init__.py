"""The figures of the report: functions that take tables or images and return a figure."""
