"""The server's settings: command line over environment (`EVENFACE_*`) over default.

This class is the one list of them: `--help` and docs/settings.md are made from it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from evenface_server.hosts import is_loopback
from evenface_server.models.traffic import parse_weights

PREFIX = "EVENFACE_"

_MIB = 2**20
_MAX_PIXELS = 178_956_970  # Pillow opens no larger image


class Settings(BaseSettings):
    """Everything that can be set. Each field says what it does in its description."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    models: Path = Field(Path("models"), description="Folder of the bundles, NAME/VERSION each.")
    default_model: str | None = Field(
        None,
        description="Model for requests that name none. When not set: the only model, "
        "or the one called 'faces'; else such requests are refused.",
    )
    traffic: str | None = Field(
        None,
        description="Shares of the requests that name a model but no version, such as "
        "faces/1=90,faces/2=10. Versions that are not listed get none of them, those to come "
        "included; all go to the newest when not set.",
    )
    watch_interval: float = Field(
        5.0,
        ge=0,
        le=86400,
        description="Seconds between looks at the model directory for bundles that are new, "
        "changed or gone; 0 never looks again.",
    )
    require_signature: Path | None = Field(
        None,
        description="File (PEM) with the public keys, or the authorities' certificates, of those "
        "whose signature a bundle needs to be loaded (docs/bundles.md); needs the extra signing. "
        "Bundles need none when not set.",
    )
    admin_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port for the admin service, which changes what is served; 0 for any free one. "
        "There is no such service when not set.",
    )
    admin_host: str = Field(
        "127.0.0.1",
        description="Address for the admin service, in plain text. Any but this machine's own "
        "needs tokens-file, as without it whoever reaches the service may use it.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(50051, ge=0, le=65535, description="Port for gRPC; 0 for any free one.")
    metrics: bool = Field(
        default=True, description="Serve Prometheus metrics over HTTP at /metrics."
    )
    metrics_host: str = Field("127.0.0.1", description="Address for metrics.")
    metrics_port: int = Field(
        9464, ge=0, le=65535, description="Port for metrics; 0 for any free one."
    )
    health_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port for health alone (grpc.health.v1), in plain text beside TLS and without "
        "tokens, for the probes of Kubernetes; 0 for any free one. There is none when not set.",
    )
    health_host: str = Field("127.0.0.1", description="Address for that health.")
    device: Literal["auto", "cpu", "cuda", "tensorrt"] = Field(
        "auto",
        description="Where models run; auto takes CUDA where there is a GPU, else the CPU.",
    )
    gpu_memory_limit: int | None = Field(
        None,
        ge=2**20,
        description="Bytes of GPU memory that a graph of a model may take in all workers together, "
        "besides what CUDA itself takes in each. No limit when not set.",
    )
    cuda_graphs: bool = Field(
        default=False,
        description="Capture a GPU's kernels once for each batch size and launch them as one from "
        "then on: faster in small batches, at the price of memory. For device cuda.",
    )
    tensorrt_cache: Path | None = Field(
        None,
        description="Folder, writable by the server alone, for the engines that TensorRT builds, "
        "which takes it a while. They are built at each start when not set.",
    )
    workers: int = Field(
        0,
        ge=0,
        le=1024,
        description="Processes that answer; 0 for one per CPU core, two where models run on a GPU.",
    )
    session_threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="Threads within one run of a graph; 0 shares the CPU cores among the workers.",
    )
    image_threads: int = Field(
        2, ge=1, le=1024, description="Threads of a worker that decode, resize and encode images."
    )
    max_batch_rows: int = Field(
        32, ge=1, le=65536, description="Images or latents that run together at most."
    )
    max_queue_rows: int = Field(
        4096,
        ge=1,
        le=2**24,
        description="Images or latents that each function of a model holds in a worker, admitted "
        "and not yet answered; requests beyond are refused with RESOURCE_EXHAUSTED.",
    )
    max_items_per_request: int = Field(
        1024, ge=1, le=2**20, description="Images or latents in one request at most."
    )
    max_message_bytes: int = Field(
        64 * _MIB, ge=1024, le=2**31 - 1, description="Bytes of one request or reply at most."
    )
    max_pixels_per_image: int = Field(
        25_000_000, ge=64, le=_MAX_PIXELS, description="Width × height of one image at most."
    )
    max_held_bytes: int = Field(
        512 * _MIB,
        ge=2**20,
        le=2**50,
        description="Bytes of requests and replies that a worker holds at most, from the first "
        "byte of a request to the last of its reply; requests beyond are refused with "
        "RESOURCE_EXHAUSTED.",
    )
    max_connections: int = Field(
        1000, ge=1, le=2**20, description="Connections of a worker at a time; more are turned away."
    )
    max_connection_age: float = Field(
        3600.0,
        gt=0,
        description="Seconds, give or take a tenth, after which a connection is asked to be opened "
        "anew, so that clients spread over servers; its calls are answered first.",
    )
    max_connection_idle: float = Field(
        1800.0, gt=0, description="Seconds after which a connection without calls is closed."
    )
    keepalive: float = Field(
        60.0,
        gt=0,
        description="Seconds of silence after which a client is asked for a sign of life; it has "
        "20 to answer.",
    )
    message_time: float = Field(
        120.0,
        gt=0,
        description="Seconds within which a request, once begun, must come in whole, and a reply "
        "be taken whole.",
    )
    stream_requests: int = Field(
        8,
        ge=1,
        le=1024,
        description="Requests of one stream that are worked on at a time; those of up to "
        "four small raw images count as a quarter.",
    )
    tls_cert: Path | None = Field(
        None, description="Certificate chain (PEM); TLS is on when this and tls-key are set."
    )
    tls_key: Path | None = Field(None, description="Private key of the certificate (PEM).")
    tls_client_ca: Path | None = Field(
        None, description="Authorities (PEM) that client certificates must come from (mTLS)."
    )
    tls_allowed_subjects: Path | None = Field(
        None,
        description="File with the names of client certificates that may call: one a line, common "
        "name, DNS name or URI, * for any text. All of the authorities' when not set.",
    )
    tokens_file: Path | None = Field(
        None,
        description="File (YAML or JSON) with the API tokens of callers, what they may call and "
        "how often. Everybody may call when not set.",
    )
    reflection: bool = Field(
        default=False, description="Serve gRPC reflection, for grpcurl and the like."
    )
    open_inference: bool = Field(
        default=False,
        description="Serve the Open Inference Protocol too, for tritonclient and the like.",
    )
    tracing: bool = Field(
        default=False,
        description="Trace calls with OpenTelemetry and export spans by OTLP, as the variables "
        "OTEL_* say (docs/tracing.md); needs the extra tracing.",
    )
    tracing_ratio: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the calls whose callers trace nothing that is traced; callers decide "
        "on their own. OTEL_TRACES_SAMPLER says so when not set, which traces all by default.",
    )
    drain_delay: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="Seconds between reporting NOT_SERVING and sending callers elsewhere on "
        "shutdown, for load balancers to take notice.",
    )
    drain_grace: float = Field(
        30.0, ge=0, le=3600, description="Seconds that requests get to finish on shutdown."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged; info logs one line per call."
    )

    @property
    def traffic_weights(self) -> Mapping[str, Mapping[str, int]]:
        """What `traffic` says, by model and version."""
        return {} if self.traffic is None else parse_weights(self.traffic)

    @field_validator("traffic")
    @classmethod
    def _well_formed(cls, traffic: str | None) -> str | None:
        if traffic is not None:
            parse_weights(traffic)
        return traffic

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.max_items_per_request > self.max_queue_rows:
            raise ValueError(
                f"max_items_per_request {self.max_items_per_request} is above "
                f"max_queue_rows {self.max_queue_rows}, so that such a request could never run"
            )
        if 2 * self.max_message_bytes > self.max_held_bytes:
            raise ValueError(
                f"max_message_bytes {self.max_message_bytes} is above half of max_held_bytes "
                f"{self.max_held_bytes}, which is what one connection may hold"
            )
        is_open = self.tokens_file is None and not is_loopback(self.admin_host)
        if self.admin_port is not None and is_open:
            raise ValueError(
                f"admin_host {self.admin_host} lets other machines change what is served; "
                "that needs tokens_file"
            )
        if self.cuda_graphs and self.device in ("cpu", "tensorrt"):
            raise ValueError(f"cuda_graphs needs device cuda, not {self.device}")
        if self.tensorrt_cache is not None and self.device != "tensorrt":
            raise ValueError(f"tensorrt_cache needs device tensorrt, not {self.device}")
        if self.tracing_ratio is not None and not self.tracing:
            raise ValueError("tracing_ratio needs tracing")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together; only one is set")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        if self.tls_allowed_subjects is not None and self.tls_client_ca is None:
            raise ValueError("tls_allowed_subjects needs tls_client_ca")
        return self


def option_of(name: str) -> str:
    """The command line option of a field, such as `--max-batch-rows`."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """The environment variable of a field, such as `EVENFACE_MAX_BATCH_ROWS`."""
    return PREFIX + name.upper()


def default_of(field: FieldInfo) -> str:
    """The default as a user would write it; "none" where there is none."""
    value = field.default
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
