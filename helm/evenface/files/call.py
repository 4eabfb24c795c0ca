"""What helm test runs in the server's image: is it ready, and does it encode an image?"""

import os
import sys

import grpc
import numpy as np
from evenface_client import TLS, Client
from grpc_health.v1 import health_pb2, health_pb2_grpc

SECONDS = 60.0

server, token = os.environ["EVENFACE_SERVER"], os.environ.get("EVENFACE_TOKEN")
files = {name: os.environ.get(f"TLS_{name.upper()}") for name in ("ca", "certificate", "key")}
tls = TLS(**files) if files["ca"] else None
opened = grpc.secure_channel(server, tls.credentials()) if tls else grpc.insecure_channel(server)
with opened as channel:
    health = health_pb2_grpc.HealthStub(channel)
    reply = health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS, wait_for_ready=True)
print("health:", health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))
if reply.status != health_pb2.HealthCheckResponse.SERVING:
    sys.exit(1)
image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
with Client(server, timeout=SECONDS, tls=tls, token=token) as client:
    encoding = client.encode(image)
model = f"{encoding.model.name}/{encoding.model.version}"
print(f"encode: {encoding.mean.shape[1]} latents by {model}")
