// oxlint-disable-next-line import/no-unassigned-import -- The certificate library wants it loaded first.
import "reflect-metadata";
import { randomBytes, webcrypto } from "node:crypto";
import { isIP } from "node:net";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** A certificate authority that lives as long as this process: its key cannot be read, and is never written. */
export interface Authority {
  /** PEM. */
  readonly certificate: string;
  /** A certificate for that host name or address, and its key; both PEM. */
  issue(host: string): Promise<{ readonly cert: string; readonly key: string }>;
}

const KEY = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNING = { name: "ECDSA", hash: "SHA-256" } as const;
const DAY_MS = 24 * 60 * 60 * 1_000;
const VALID_DAYS = 3_650;

export async function createAuthority(name: string): Promise<Authority> {
  const subject = `CN=${name}`;
  const keys = await webcrypto.subtle.generateKey(KEY, false, ["sign", "verify"]);
  const authority = await X509CertificateGenerator.createSelfSigned({
    ...{ name: subject, keys, signingAlgorithm: SIGNING },
    ...validity(),
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return {
    certificate: authority.toString("pem"),
    issue: async (host) => {
      const own = await webcrypto.subtle.generateKey(KEY, true, ["sign", "verify"]);
      const certificate = await X509CertificateGenerator.create({
        ...{ subject: "CN=Pincer", issuer: subject, publicKey: own.publicKey },
        ...{ signingKey: keys.privateKey, signingAlgorithm: SIGNING },
        ...validity(),
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
          new SubjectAlternativeNameExtension([{ type: isIP(host) === 0 ? "dns" : "ip", value: host }]),
        ],
      });
      const key = await webcrypto.subtle.exportKey("pkcs8", own.privateKey);
      return { cert: certificate.toString("pem"), key: PemConverter.encode(key, "PRIVATE KEY") };
    },
  };
}

/** Clocks of the sandbox and of this process are one; a day for whoever changes it. */
function validity() {
  const now = Date.now();
  return {
    serialNumber: `01${randomBytes(8).toString("hex")}`,
    notBefore: new Date(now - DAY_MS),
    notAfter: new Date(now + VALID_DAYS * DAY_MS),
  };
}
