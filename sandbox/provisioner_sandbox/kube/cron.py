"""Schedules of CronJobs, as `github.com/robfig/cron/v3` reads them: five fields, names, and macros."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

MACROS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
MONTHS = {name: n + 1 for n, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split())}
DAYS = {name: n for n, name in enumerate("sun mon tue wed thu fri sat".split())}
FIELDS = (
    ("minute", 0, 59, {}), ("hour", 0, 23, {}), ("day of month", 1, 31, {}), ("month", 1, 12, MONTHS), ("day of week", 0, 6, DAYS),
)  # fmt: skip


class Malformed(ValueError):
    """It is said as Kubernetes says it."""


@dataclass(frozen=True)
class Schedule:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    # Two restricted kinds of days: one of them is enough.
    either: bool

    def has(self, moment: datetime) -> bool:
        day, weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return (
            moment.minute in self.minutes
            and moment.hour in self.hours
            and moment.month in self.months
            and (day or weekday if self.either else day and weekday)
        )

    def last(self, after: datetime, until: datetime) -> datetime | None:
        """The latest moment of the schedule after the first time, up to the second."""
        moment = until.replace(second=0, microsecond=0)
        while moment > after:
            if self.has(moment):
                return moment
            moment -= timedelta(minutes=1)
        return None


def parse(text: str) -> Schedule:
    words = MACROS.get(text, text).split()
    if text.startswith("@") and text not in MACROS:
        raise Malformed(f"unrecognized descriptor: {text}")
    if len(words) != len(FIELDS):
        raise Malformed(f"expected exactly 5 fields, found {len(words)}: [{' '.join(words)}]")
    sets = [values(word, *field) for word, field in zip(words, FIELDS)]
    either = not any(words[n].startswith(("*", "?")) for n in (2, 4))
    return Schedule(*sets, either)


def values(word: str, name: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in word.split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = number(start, names)
            last = number(end, names) if dash else (high if step else first)
        every = number(step, {}) if step else 1
        if first < low:
            raise Malformed(f"beginning of range ({first}) below minimum ({low}): {part}")
        if last > high:
            raise Malformed(f"end of range ({last}) above maximum ({high}): {part}")
        if first > last:
            raise Malformed(f"beginning of range ({first}) beyond end of range ({last}): {part}")
        if every == 0:
            raise Malformed(f"step of range should be a positive number: {part}")
        found |= set(range(first, last + 1, every))
    return frozenset(found)


def number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not text.isdecimal():
        raise Malformed(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)
