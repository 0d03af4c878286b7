"""Counters and one latency histogram in the Prometheus text format (version 0.0.4). No client library: about a page."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
MAX_SERIES = 10_000  # label values come from us, never from callers; this cap is the proof

HELP = {
    "muybridge_http_requests_total": "Requests by route template, method and status.",
    "muybridge_jobs_accepted_total": "Jobs accepted, by protocol and model.",
    "muybridge_refused_total": "Requests refused, by error class.",
    "muybridge_media_bytes_total": "Bytes of media checked, by kind.",
    "muybridge_webhook_deliveries_total": "Webhook attempts, by outcome.",
    "muybridge_jobs": "Jobs by status, now.",
    "muybridge_queue_oldest_seconds": "Age of the oldest waiting job.",
    "muybridge_ready": "1 when a one-step run succeeded recently.",
}

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Process-local counters. `count` and `observe` are safe from any thread."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, Labels], float] = defaultdict(float)
        self._times: dict[Labels, list[float]] = {}
        self._lock = threading.Lock()

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter."""
        series = (name, tuple(sorted(labels.items())))
        with self._lock:
            if series in self._counts or len(self._counts) < MAX_SERIES:
                self._counts[series] += amount

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """One served request. `route` is the template (`/v1/videos/{id}`), never the path."""
        self.count("muybridge_http_requests_total", method=method, route=route, status=str(status))
        labels = (("method", method), ("route", route))
        with self._lock:
            row = self._times.setdefault(labels, [0.0] * (len(BUCKETS_S) + 2))
            for i, bound in enumerate(BUCKETS_S):
                if seconds <= bound:
                    row[i] += 1
                    break
            row[-2] += 1
            row[-1] += seconds

    def text(self, gauges: Iterable[tuple[str, Mapping[str, str], float]] = ()) -> str:
        """Everything counted, and `gauges` (name, labels, value) measured now by the caller."""
        with self._lock:
            counts = sorted(self._counts.items())
            times = sorted((k, list(v)) for k, v in self._times.items())
        lines: list[str] = []
        for (name, labels), value in counts:
            _head(lines, name, "counter")
            lines.append(f"{name}{_labels(labels)} {value:g}")
        for name, labelled, value in gauges:
            _head(lines, name, "gauge")
            lines.append(f"{name}{_labels(tuple(labelled.items()))} {value:g}")
        name = "muybridge_http_seconds"
        for labels, row in times:
            _head(lines, name, "histogram")
            total = 0.0
            for bound, number in zip(BUCKETS_S, row, strict=False):
                total += number
                lines.append(f"{name}_bucket{_labels((*labels, ('le', f'{bound:g}')))} {total:g}")
            lines.append(f"{name}_bucket{_labels((*labels, ('le', '+Inf')))} {row[-2]:g}")
            lines.append(f"{name}_sum{_labels(labels)} {row[-1]:.6f}")
            lines.append(f"{name}_count{_labels(labels)} {row[-2]:g}")
        return "\n".join(lines) + "\n"


def _head(lines: list[str], name: str, kind: str) -> None:
    head = f"# TYPE {name} {kind}"
    if head not in lines:
        lines += [f"# HELP {name} {HELP.get(name, name)}", head]


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = ((k, v.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for k, v in labels)
    return "{" + ",".join(f'{k}="{v}"' for k, v in escaped) + "}"
