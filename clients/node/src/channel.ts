/** How a channel to a server is set up: retries, keepalive, message sizes, TLS. */

import { readFileSync } from "node:fs";
import { Client as Channel, type ChannelOptions, credentials } from "@grpc/grpc-js";
import { InvalidRequest } from "./errors.js";
import { isLocal } from "./token.js";

/** How to speak to a server with TLS. Each is the path of a PEM file, or its bytes. */
export interface TLS {
  /** The certificates to trust; those that Node trusts when not given. */
  readonly ca?: string | URL | Uint8Array;
  /** The client's own certificate, for servers that ask for one; goes with `key`. */
  readonly certificate?: string | URL | Uint8Array;
  /** Its private key. */
  readonly key?: string | URL | Uint8Array;
  /** The name to expect in the server's certificate, where it is not the address. */
  readonly serverName?: string;
}

/** Everything that a channel follows from. */
export interface Setup {
  /** "host:port" or any gRPC target. */
  readonly server: string;
  readonly tls: TLS | undefined;
  /** How often a failed call is tried again. */
  readonly retries: number;
}

/** gRPC caps the attempts of a call at five. */
const MAX_RETRIES = 4;
const SERVICES = ["evenface.v1.FaceService", "evenface.v1.ModelService"];
// A call can be tried again as long as gRPC holds what it has sent.
const RETRY_BYTES = 2 ** 30;

/**
 * Open a channel; it connects by itself.
 *
 * @throws InvalidRequest a setting cannot be used
 */
export function openChannel(setup: Setup): Channel {
  const { server, tls, retries } = setup;
  if (typeof server !== "string" || server === "") {
    throw new InvalidRequest("server", "empty address; pass host:port");
  }
  if (!Number.isInteger(retries) || retries < 0 || retries > MAX_RETRIES) {
    throw new InvalidRequest("retries", `${retries} is outside 0 to ${MAX_RETRIES}`);
  }
  const secured = tls ? secure(tls) : credentials.createInsecure();
  try {
    return new Channel(server, secured, options(setup));
  } catch (error) {
    throw new InvalidRequest("server", `'${server}' is no address; pass host:port`, {
      cause: error,
    });
  }
}

function options({ server, tls, retries }: Setup): ChannelOptions {
  return {
    "grpc.service_config": JSON.stringify(serviceConfig(retries)),
    "grpc.service_config_disable_resolution": 1, // no look-up of one in DNS
    "grpc.per_rpc_retry_buffer_size": RETRY_BYTES,
    "grpc.retry_buffer_size": RETRY_BYTES,
    // The server's limits rule; requests are cut to them before they are sent.
    "grpc.max_send_message_length": -1,
    "grpc.max_receive_message_length": -1,
    // Find a server that restarts soon; gRPC would wait up to two minutes.
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 1000,
    // One worker of a server has a connection: the clients of a process share none.
    "grpc.use_local_subchannel_pool": 1,
    // Notice a connection that died silently while a call waits on it.
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 20_000,
    ...(isLocal(server) ? { "grpc.enable_http_proxy": 0 } : {}),
    ...(tls?.serverName ? { "grpc.ssl_target_name_override": tls.serverName } : {}),
  };
}

/** A server's pushback takes the place of the backoff. Every method only computes, so all may be repeated. */
function serviceConfig(retries: number): object {
  const retryPolicy = {
    maxAttempts: retries + 1,
    initialBackoff: "0.2s",
    maxBackoff: "5s",
    backoffMultiplier: 2,
    // CANCELLED as a server says it is a call that met it closing.
    retryableStatusCodes: ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"],
  };
  const name = SERVICES.map((service) => ({ service }));
  return {
    methodConfig: [retries ? { name, retryPolicy } : { name }],
    // Requests take turns over all addresses of a name, such as the pods of a headless service.
    loadBalancingConfig: [{ round_robin: {} }],
  };
}

function secure(tls: TLS) {
  if ((tls.certificate === undefined) !== (tls.key === undefined)) {
    throw new InvalidRequest("tls", "certificate and key belong together; one is missing");
  }
  const [ca, key, certificate] = [pem(tls, "ca"), pem(tls, "key"), pem(tls, "certificate")];
  try {
    return credentials.createSsl(ca, key, certificate);
  } catch (error) {
    throw new InvalidRequest("tls", (error as Error).message, { cause: error });
  }
}

function pem(tls: TLS, field: "ca" | "certificate" | "key"): Buffer | null {
  const given = tls[field];
  if (given === undefined) return null;
  if (given instanceof Uint8Array) return Buffer.from(given);
  try {
    return readFileSync(given);
  } catch (error) {
    const { code = "cannot be read" } = error as NodeJS.ErrnoException;
    throw new InvalidRequest(`tls.${field}`, code, { source: String(given), cause: error });
  }
}
