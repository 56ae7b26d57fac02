const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>';

export function xmlAnswer(body: string): Response {
  return new Response(`${DECLARATION}\n${body}`, { headers: { "Content-Type": "application/xml" } });
}

/** The answer to ListObjectsV2. */
export function listingXml(
  prefix: string,
  files: readonly { readonly object: R2Object; readonly path: string }[],
  folders: readonly string[],
  nextToken: string | undefined,
): string {
  const contents = files
    .filter(({ path }) => isWritable(path))
    .map(({ path, object }) =>
      element(
        "Contents",
        element("Key", text(path)) +
          element("LastModified", object.uploaded.toISOString()) +
          element("ETag", text(object.httpEtag)) +
          element("Size", String(object.size)),
      ),
    );
  const below = folders.filter(isWritable).map((path) => element("CommonPrefixes", element("Prefix", text(path))));
  return element(
    "ListBucketResult",
    element("Prefix", text(prefix)) +
      element("IsTruncated", String(nextToken !== undefined)) +
      (nextToken === undefined ? "" : element("NextContinuationToken", text(nextToken))) +
      contents.join("") +
      below.join(""),
  );
}

export function copyXml(kind: "CopyObjectResult" | "CopyPartResult", etag: string): string {
  return element(kind, element("ETag", text(`"${etag}"`)));
}

export function uploadXml(kind: "InitiateMultipartUploadResult" | "CompleteMultipartUploadResult", uploadId: string) {
  return element(kind, element("UploadId", text(uploadId)));
}

/** The parts that a request to complete an upload names. */
export function readParts(xml: string): { readonly partNumber: number; readonly etag: string }[] {
  const parts = xml.matchAll(
    /<PartNumber>(\d{1,5})<\/PartNumber>\s*<ETag>(?:"|&quot;)?([^<"&]*)(?:"|&quot;)?<\/ETag>/g,
  );
  return Array.from(parts, ([, partNumber, etag]) => ({ partNumber: Number(partNumber), etag: etag ?? "" }));
}

/** These two characters cannot stand in XML at all: one name with them would hide its whole folder. */
function isWritable(path: string): boolean {
  return !/[\ufffe\uffff]/.test(path);
}

function element(name: string, content: string): string {
  return `<${name}>${content}</${name}>`;
}

function text(raw: string): string {
  return raw.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
