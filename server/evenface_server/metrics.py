"""All metrics of the server: what each process counts, and what they all show. Transport-free."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evenface_server.instruments import Counter, Gauge, Histogram, Instruments

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = tuple(2**power for power in range(11))
_LANE = ("model", "version", "function")
_RPC = ("grpc_type", "grpc_service", "grpc_method")
# What callers are refused for because of who they are; the last four before they can call.
_REFUSALS = (
    *("no_token", "unknown_token", "rpc", "subject"),
    *("no_certificate", "certificate_expired", "certificate_unknown", "server_certificate"),
)

# Of certificates, by what they are for: from when to when they hold, seconds since 1970.
Validities = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class LaneMetrics:
    """The metrics of one function of one model, labels bound once."""

    queue_wait: Histogram
    batch_rows: Histogram
    inference: Histogram
    queue_rows: Gauge
    images: Counter


class _ByCode:
    """Counts by status code, binding a label once it is met."""

    def __init__(self, bind: Callable[[str], Counter]) -> None:
        self._bind = bind
        self._bound: dict[str, Counter] = {}

    def __call__(self, code: str, calls: int = 1) -> None:
        counter = self._bound.get(code)
        if counter is None:
            counter = self._bound[code] = self._bind(code)
        counter.inc(calls)


@dataclass(frozen=True)
class RpcMetrics:
    """The metrics of one RPC, labels bound; `handled` takes the name of the code."""

    started: Counter
    received: Counter
    sent: Counter
    seconds: Histogram
    handled: _ByCode


@dataclass(frozen=True)
class CallerMetrics:
    """What becomes of one caller's requests."""

    allowed: Counter
    denied: Counter
    limited: Counter


class Metrics:
    """All metrics of a process; `grpc_server_*` are named as by go-grpc-prometheus.

    Attributes:
        instruments: Their definitions and values.
    """

    def __init__(self) -> None:
        self.instruments = Instruments()
        self._lanes()
        self._rpcs()
        self.rejections = self.instruments.counter(
            "evenface_rejections", "Requests refused, by the reason in their ErrorInfo.", "reason"
        )
        self._callers = self.instruments.counter(
            "evenface_caller_requests",
            "Calls, and messages of streams, by the caller's token and what became of them.",
            "caller",
            "outcome",
        )
        self._access()
        self._refused = self.instruments.counter(
            "evenface_bundles_refused", "Bundles that could not be served.", "model", "version"
        )
        self._model_info = self.instruments.gauge(
            "evenface_model_info",
            "1 for each model served.",
            *("model", "version", "kind", "device", "is_default"),
            across=max,
        )

        self._held_bytes = self.instruments.gauge(
            "evenface_held_bytes", "Bytes of requests and replies that are held."
        )

    def _lanes(self) -> None:
        self._queue_wait = self.instruments.histogram(
            "evenface_queue_wait_seconds", "From being queued to the first run.", _SECONDS, *_LANE
        )
        self._batch_rows = self.instruments.histogram(
            "evenface_batch_rows", "Images or latents that ran together.", _ROWS, *_LANE
        )
        self._inference = self.instruments.histogram(
            "evenface_inference_seconds", "One run of a graph.", _SECONDS, *_LANE
        )
        self._queue_rows = self.instruments.gauge(
            "evenface_queue_rows", "Rows admitted, not answered.", *_LANE
        )
        self._images = self.instruments.counter(
            "evenface_images", "Images or latents that went through a model.", *_LANE
        )

    def _rpcs(self) -> None:
        counter = self.instruments.counter
        self._started = counter("grpc_server_started", "RPCs started.", *_RPC)
        self._handled = counter("grpc_server_handled", "RPCs ended.", *_RPC, "grpc_code")
        self._received = counter("grpc_server_msg_received", "Messages received.", *_RPC)
        self._sent = counter("grpc_server_msg_sent", "Messages sent.", *_RPC)
        self._handling = self.instruments.histogram(
            "grpc_server_handling_seconds", "From start to end of an RPC.", _SECONDS, *_RPC
        )

    def _access(self) -> None:
        self._validities: Callable[[], Validities] = dict
        self._callers_refused = self.instruments.counter(
            "evenface_callers_refused",
            "Calls, and handshakes of TLS, refused because of who calls.",
            "reason",
        )
        for reason in _REFUSALS:  # from 0 on, as `Faults` has it
            self._callers_refused.labels(reason)
        # Of what is in use now: where processes differ, of the one that is worse off.
        self._not_before = self.instruments.gauge(
            "evenface_certificate_not_before_timestamp_seconds",
            "From when on the certificate holds that ends first.",
            "certificate",
            across=min,
        )
        self._not_after = self.instruments.gauge(
            "evenface_certificate_not_after_timestamp_seconds",
            "When the certificate ends that ends first.",
            "certificate",
            across=min,
        )

    def lane(self, model: str, version: str, function: str) -> LaneMetrics:
        """Bind the metrics of one function of one model."""
        labels = (model, version, function)
        return LaneMetrics(
            queue_wait=self._queue_wait.labels(*labels),
            batch_rows=self._batch_rows.labels(*labels),
            inference=self._inference.labels(*labels),
            queue_rows=self._queue_rows.labels(*labels),
            images=self._images.labels(*labels),
        )

    def rpc(self, grpc_type: str, service: str, method: str) -> RpcMetrics:
        """Bind the metrics of one RPC."""
        labels = (grpc_type, service, method)
        return RpcMetrics(
            started=self._started.labels(*labels),
            received=self._received.labels(*labels),
            sent=self._sent.labels(*labels),
            seconds=self._handling.labels(*labels),
            handled=_ByCode(lambda code: self._handled.labels(*labels, code)),
        )

    def held(self, size: int) -> None:
        """Note how many bytes of requests and replies are held."""
        self._held_bytes.labels().set(size)

    def caller(self, name: str) -> CallerMetrics:
        """Bind the metrics of one caller, by the name that the tokens file gives it."""
        outcomes = ("allowed", "denied", "limited")
        return CallerMetrics(*(self._callers.labels(name, outcome) for outcome in outcomes))

    def caller_refused(self, reason: str) -> None:
        """Count a caller who may not call."""
        self._callers_refused.labels(reason).inc()

    def follow_certificates(self, validities: Callable[[], Validities]) -> None:
        """Take from now on from there what is noted of certificates."""
        self._validities = validities

    def certificates(self) -> None:
        """Note how long the certificates hold that are in use, if there are any."""
        for certificate, (begins, ends) in self._validities().items():
            self._not_before.labels(certificate).set(begins)
            self._not_after.labels(certificate).set(ends)

    def refused(self, version: tuple[str, str]) -> None:
        """Count a bundle that could not be served, by name and version."""
        self._refused.labels(*version).inc()

    def forget_models(self) -> None:
        """Note that other models are served from now on."""
        self._model_info.clear()

    def model(self, *, model: str, version: str, kind: str, device: str, is_default: bool) -> None:
        """Note that a model is served."""
        self._model_info.labels(model, version, kind, device, str(is_default).lower()).set(1)
