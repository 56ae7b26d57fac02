import type { Settings } from "../shared/settings.ts";
import type { TokenPrice } from "./budget.ts";

/** What a model asks for its tokens; `undefined` where that is not known. */
export function tokenPrice(_model: string, _settings: Settings): TokenPrice | undefined {
  return undefined;
}
