import type { AuthEnv } from "../../auth/authorization-server.ts";
import type { Bindings } from "../../servers/suite.ts";

/** What `env` of `cloudflare:workers` holds in these tests: the bindings of wrangler.jsonc. */
declare global {
  namespace Cloudflare {
    interface Env extends Bindings, AuthEnv {}
  }
}
