import { localUserId } from "../../auth/local.ts";
import { createActs, createRules } from "../../servers/suite-acts.ts";
import { ToolError, errorText } from "../../servers/shared/errors.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import type { Bindings } from "../../servers/suite.ts";
import { rulesOrder } from "./rules-order.ts";

/** Test-only: what the pages do, asked for by a test and by nobody else, beside the real Worker on its own objects. */
export default {
  fetch: async (request, env, ctx) => {
    const order = rulesOrder.parse(await request.json());
    const waitUntil = (work: Promise<unknown>): void => ctx.waitUntil(work);
    const userId = await localUserId();
    const acts = createActs(env, parseSettings(env), userId, waitUntil);
    const rules = createRules(env);
    try {
      switch (order.do) {
        case "pausePerson":
          await rules.pausePerson(userId, order.text);
          break;
        case "resumePerson":
          await rules.resumePerson(userId);
          break;
        case "pauseAll":
          await rules.pauseAll(order.text);
          break;
        case "resumeAll":
          await rules.resumeAll();
          break;
        case "snapshot":
          await acts.snapshot(order.text);
          break;
        case "restart":
          await acts.restart(order.text);
          break;
        case "sleep":
          await acts.sleep(order.text);
          break;
        case "closeBrowser":
          await acts.closeBrowser(order.text);
          break;
        case "cancelRun":
          await acts.cancelRun(order.text);
          break;
      }
      return new Response("done");
    } catch (failure) {
      if (!(failure instanceof ToolError)) throw failure;
      return new Response(errorText(failure));
    }
  },
} satisfies ExportedHandler<Bindings>;
