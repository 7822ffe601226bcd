"""What /metrics shows."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from starlette.responses import Response

from demo import __version__


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        Info("demo", "The service.", registry=self.registry).info({"version": __version__})
        labels = ("method", "route", "status")
        self.requests = Counter("http_requests", "Requests answered.", labels, registry=self.registry)
        self.duration = Histogram(
            "http_request_duration_seconds",
            "From the request's head to the answer's end.",
            labels,
            registry=self.registry,
        )
        self.in_progress = Gauge("http_requests_in_progress", "Requests not yet answered.", registry=self.registry)
        self.parameter_reads = Counter(
            "demo_parameter_reads",
            "Reads of the SSM parameter, cached answers not among them.",
            ("result",),
            registry=self.registry,
        )
        self.parameter_duration = Histogram(
            "demo_parameter_read_duration_seconds", "Reads of the SSM parameter.", registry=self.registry
        )

    def answer(self, accept: str) -> Response:
        """Prometheus text, or OpenMetrics where the scraper asks for it."""
        encode, content_type = choose_encoder(accept)
        return Response(encode(self.registry), headers={"Content-Type": content_type})
