#!/bin/sh
# Generates src/gen (or OUT) from ../../protos with the compiler of grpcio-tools, which `make test` installs.
set -eu
python=${EVENFACE_PYTHON:-../../.venv/bin/python}
out=${OUT:-src/gen}
google=$("$python" -c 'import pathlib, google.rpc.status_pb2 as m; print(pathlib.Path(m.__file__).parents[2])')
exec "$python" -m grpc_tools.protoc -I ../../protos -I "$google" \
  --es_out="$out" --es_opt=target=ts,import_extension=js \
  evenface/v1/common.proto evenface/v1/face_service.proto evenface/v1/model_service.proto \
  google/rpc/status.proto google/rpc/error_details.proto
