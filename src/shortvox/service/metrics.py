"""What the service counts, as Prometheus reads it (text format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds

_Labels = tuple[tuple[str, str], ...]


class Metrics:
    """For one event loop. Routes are templates, so that names of speakers never become labels."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.streams = 0
        self._requests: Counter[_Labels] = Counter()
        self._outcomes: Counter[_Labels] = Counter()
        self._refused: Counter[_Labels] = Counter()
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS) + 1))
        self._seconds: Counter[str] = Counter()

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests[("route", route), ("method", method), ("status", str(status))] += 1
        if status in (401, 403, 408, 413, 429, 503):
            self._refused[(("status", str(status)),)] += 1
        self._buckets[route][bisect_left(BOUNDS, seconds)] += 1
        self._seconds[route] += seconds  # type: ignore[assignment]

    def decided(self, route: str, outcome: str) -> None:
        self._outcomes[("route", route), ("outcome", outcome)] += 1

    def text(self) -> str:
        lines: list[str] = []

        def family(name: str, kind: str, about: str, values: dict[_Labels, float]) -> None:
            lines.extend((f"# HELP {name} {about}", f"# TYPE {name} {kind}"))
            lines.extend(f"{name}{_shown(labels)} {value:g}" for labels, value in sorted(values.items()))

        family("shortvox_requests_total", "counter", "Requests answered.", {**self._requests})
        family("shortvox_outcomes_total", "counter", "What was decided.", {**self._outcomes})
        family("shortvox_refused_total", "counter", "Requests refused by a limit or for access.", {**self._refused})
        family("shortvox_in_flight", "gauge", "Requests in work.", {(): self.in_flight})
        family("shortvox_streams", "gauge", "Open WebSockets.", {(): self.streams})
        name = "shortvox_request_seconds"
        lines.extend((f"# HELP {name} From the first byte to the answer.", f"# TYPE {name} histogram"))
        for route, counts in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
                total += count
                lines.append(f"{name}_bucket{_shown((('route', route), ('le', bound)))} {total}")
            lines.append(f"{name}_sum{_shown((('route', route),))} {self._seconds[route]:.6f}")
            lines.append(f"{name}_count{_shown((('route', route),))} {total}")
        return "\n".join(lines) + "\n"


def _shown(labels: _Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
