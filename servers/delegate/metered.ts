/** What may be read of a value before it is too much. */
export interface Meter {
  left: number;
}

/** The same value, each of whose reads is counted; throws once the meter has run out. */
export function metered<Value extends object>(value: Value, meter: Meter): Value {
  return new Proxy(value, {
    get: (target, key) => {
      meter.left -= 1;
      if (meter.left < 0) throw new Error("It takes too many steps to check.");
      const found: unknown = Reflect.get(target, key);
      return typeof found === "object" && found !== null ? metered(found, meter) : found;
    },
  });
}
