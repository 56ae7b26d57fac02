import * as z from "zod";

/**
 * The schema of a tool's input as a model is shown it: of the bounds only the greatest numbers. No model minds the
 * others, and whoever goes past one hears of it.
 */
export function leanSchema(input: z.ZodObject): z.core.JSONSchema.JSONSchema {
  const { $schema: _, ...schema } = z.toJSONSchema(input, {
    io: "input",
    override: ({ jsonSchema }) => {
      delete jsonSchema.minLength;
      delete jsonSchema.maxLength;
      delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      delete jsonSchema.minItems;
      delete jsonSchema.maxItems;
      delete jsonSchema.propertyNames;
      // A schema that takes anything says nothing, and strict clients mind it.
      if (isEmpty(jsonSchema.additionalProperties)) delete jsonSchema.additionalProperties;
    },
  });
  return schema;
}

function isEmpty(schema: unknown): boolean {
  return typeof schema === "object" && schema !== null && Object.keys(schema).length === 0;
}
