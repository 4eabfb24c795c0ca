/** API tokens: how they travel with a call, and over which connections they may. */

import { BlockList, isIP } from "node:net";
import { InvalidRequest } from "./errors.js";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8);
LOOPBACK.addAddress("::1", "ipv6");

/**
 * Check that a token can be sent, and that it stays between us and the server.
 *
 * @throws InvalidRequest what the token is stands in no message
 */
export function checkToken(token: string, server: string, encrypted: boolean): void {
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new InvalidRequest("token", "must be ASCII characters without spaces, and not empty");
  }
  if (!encrypted && !isLocal(server)) {
    throw new InvalidRequest("token", `would travel to ${server} in plain text; speak TLS`);
  }
}

/** Whether a gRPC target is on this machine, so that nothing travels. */
export function isLocal(server: string): boolean {
  const [scheme = "", rest = ""] = cut(server, ":");
  if (scheme === "unix") return true;
  if (scheme === "dns") return isLoopback(rest.slice(rest.lastIndexOf("/") + 1));
  const addresses = scheme === "ipv4" || scheme === "ipv6" ? rest.split(",") : [server];
  return addresses.every(isLoopback);
}

function isLoopback(address: string): boolean {
  const host = hostOf(address);
  const family = isIP(host);
  return (
    host === "localhost" || (family > 0 && LOOPBACK.check(host, family === 6 ? "ipv6" : "ipv4"))
  );
}

function hostOf(address: string): string {
  if (address.startsWith("[")) return cut(address.slice(1), "]")[0] ?? "";
  const [host = "", rest = ""] = cut(address, ":");
  return rest.includes(":") ? address : host; // several colons: IPv6 without a port
}

function cut(text: string, at: string): string[] {
  const found = text.indexOf(at);
  return found < 0 ? [text] : [text.slice(0, found), text.slice(found + 1)];
}
