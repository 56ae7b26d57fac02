import { createRequire, syncBuiltinESMExports } from "node:module";

const require = createRequire(import.meta.url);

function refuse() {
  throw Object.assign(new Error("The simulated shell has no such thing."), { code: "EPERM" });
}

/**
 * Takes from this thread what Node's permission model leaves to it and just-bash has no use for: threads (which could
 * be started with more permissions), signals, databases (which ask nobody before they open a file) and the network. A
 * second fence, for code that got out of just-bash.
 */
export function closeFence() {
  process.permission.drop("worker");
  for (const name of ["kill", "_kill", "_debugProcess", "_debugEnd", "report", "binding", "dlopen"]) {
    Object.defineProperty(process, name, { value: refuse, configurable: false, writable: false });
  }
  close(require("node:sqlite"), ["DatabaseSync", "backup"]);
  const [net, dgram, dns] = [require("node:net"), require("node:dgram"), require("node:dns")];
  close(net.Socket.prototype, ["connect"]);
  close(net.Server.prototype, ["listen"]);
  close(dgram.Socket.prototype, ["bind", "connect", "send"]);
  for (const holder of [dns, dns.promises, dns.Resolver.prototype, dns.promises.Resolver.prototype]) {
    close(
      holder,
      Object.keys(Object.getOwnPropertyDescriptors(holder)).filter((name) => /^(lookup|resolve|reverse)/.test(name)),
    );
  }
  syncBuiltinESMExports();
}

/** @param {object} holder @param {readonly string[]} names */
function close(holder, names) {
  for (const name of names)
    Object.defineProperty(holder, name, { value: refuse, configurable: false, writable: false });
}
