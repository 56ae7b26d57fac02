import { type OxlintOverride, defineConfig } from "oxlint";

/** An import that a layer may not have, and what its author is told. */
interface Wall {
  /** Patterns as in .gitignore; `!` lets through again. */
  readonly group: readonly string[];
  readonly message: string;
}

/** What holds for all code that runs in the Worker, unless a layer below is named as the one that may. */
const SDK: Wall = {
  group: ["@modelcontextprotocol/*"],
  message: "Only servers/core speaks to the MCP SDK.",
};
const SANDBOX_SDK: Wall = {
  group: ["@cloudflare/sandbox"],
  message: "Only container/sandbox.ts and servers/sandbox/driver-cloudflare.ts touch the Sandbox SDK.",
};
const NODE: Wall = { group: ["node:*", "node:*/**"], message: "Code of the Worker uses what every runtime has." };
const LOCAL: Wall = {
  group: ["**/container/local/**", "**/container/deploy.ts", "**/test/**"],
  message: "The Worker knows nothing of the launcher or the tests.",
};
const UPWARDS: Wall = {
  group: ["../catalog.ts", "../suite.ts", "../suite-*.ts", "../end-work.ts", "../worker.ts"],
  message: "Imports point one way: entry, auth, server, tool, capability, binding (DESIGN.md).",
};

const DEEP_UPWARDS: Wall = { ...UPWARDS, group: UPWARDS.group.map((file) => `../${file}`) };

function layer(files: readonly string[], ...walls: readonly Wall[]): OxlintOverride {
  return {
    files: [...files],
    rules: {
      "eslint/no-restricted-imports": [
        "error",
        { patterns: walls.map(({ group, message }) => ({ group: [...group], message })) },
      ],
      "eslint/no-restricted-globals": [
        "error",
        { name: "process", message: "Only worker.ts and the launcher read the environment: take it as an argument." },
        { name: "Buffer", message: "Use Uint8Array." },
      ],
    },
  };
}

const LAYERS = [
  layer(["servers/*.ts"], SDK, SANDBOX_SDK, NODE, LOCAL),
  layer(["servers/core/**"], SANDBOX_SDK, NODE, LOCAL, UPWARDS),
  layer(["servers/shared/**"], SDK, SANDBOX_SDK, NODE, LOCAL, {
    group: ["../**"],
    message: "Leaves import nothing of ours.",
  }),
  layer(["servers/account/**"], SDK, SANDBOX_SDK, NODE, LOCAL, UPWARDS, {
    group: ["../*/**", "!../shared/**", "!../core/call.ts", "!../core/log.ts", "!../../auth/**"],
    message: "The account knows calls, and no server.",
  }),
  layer(["servers/directory/**"], SDK, SANDBOX_SDK, NODE, LOCAL, UPWARDS, {
    group: ["../*/**", "!../shared/**", "!../account/**", "!../core/log.ts", "!../../auth/**"],
    message: "The directory knows accounts, and no server.",
  }),
  layer(["servers/{files,sandbox,interpreter,browser,delegate}/**"], SDK, NODE, LOCAL, UPWARDS, {
    group: [
      "../*/**",
      "!../shared/**",
      "!../core/{tool,call,artifacts,log}.ts",
      "!../files/store.ts",
      "!../sandbox/driver.ts",
      "!../account/**",
      "!../../auth/**",
      "!../../container/sandbox.ts",
    ],
    message: "A server may import files/store, account/ and the leaves, and no other server.",
  }),
  layer(["servers/inside/*.ts"], SDK, SANDBOX_SDK, NODE, LOCAL, UPWARDS, {
    group: [
      "../*/**",
      "!../shared/**",
      "!../core/{call,http,log}.ts",
      "!../sandbox/driver.ts",
      "!../browser/**",
      "!../delegate/model/**",
      "!../account/**",
      "!../../auth/**",
    ],
    message: "What answers inside knows capabilities and the leaves, and no tool.",
  }),
  layer(["servers/inside/*/**"], SDK, SANDBOX_SDK, NODE, LOCAL, DEEP_UPWARDS, {
    group: [
      "../../*/**",
      "!../../shared/**",
      "!../../core/{call,gate,limit-check}.ts",
      "!../../delegate/{budget,day-room,host}.ts",
      "!../../delegate/model/**",
      "!../../account/**",
    ],
    message: "What answers inside knows capabilities and the leaves, and no tool.",
  }),
  layer(["servers/browser/*/**"], SDK, NODE, LOCAL, DEEP_UPWARDS, {
    group: ["../../*/**", "!../../shared/**", "!../../core/log.ts", "!../../account/**"],
    message: "What is inside of the browser knows account/ and the leaves, and no other server.",
  }),
  layer(["servers/delegate/model/**"], SDK, NODE, LOCAL, DEEP_UPWARDS, {
    group: ["../../*/**", "!../../shared/**", "!../../core/artifacts.ts"],
    message: "What asks models knows the leaves, and no server.",
  }),
  layer(["servers/admin/**"], SDK, SANDBOX_SDK, NODE, LOCAL, UPWARDS, {
    group: [
      "../*/**",
      "!../shared/**",
      "!../core/log.ts",
      "!../account/**",
      "!../directory/**",
      "!../files/store.ts",
      "!../sandbox/{driver,process,previews,terminal-wire}.ts",
      "!../browser/session.ts",
      "!../delegate/run-report.ts",
      "!../../auth/**",
      "!../../container/presets/**",
    ],
    message: "The pages know what things say of themselves, and no tool.",
  }),
  layer(["servers/admin/health.ts", "servers/admin/health/**"], SDK, SANDBOX_SDK, NODE, LOCAL, UPWARDS, DEEP_UPWARDS),
  layer(["auth/**"], SDK, SANDBOX_SDK, NODE, LOCAL, {
    group: [
      "../container/**",
      "../servers/**",
      "!../servers/shared/**",
      "!../servers/core/log.ts",
      "!../servers/account/account.ts",
    ],
    message: "Sign-in knows accounts and the leaves, and no server.",
  }),
  layer(["container/sandbox.ts"], SDK, NODE, LOCAL),
  layer(["container/mount/**"], SDK, SANDBOX_SDK, NODE, LOCAL),
];

export default defineConfig({
  plugins: ["typescript", "unicorn", "oxc", "import", "promise"],
  categories: { correctness: "error", suspicious: "error" },
  ignorePatterns: ["dist", ".pincer", ".wrangler"],
  rules: {
    "eslint/eqeqeq": "error",
    "eslint/max-lines": ["error", { max: 300 }],
    "eslint/no-restricted-globals": [
      "error",
      { name: "Buffer", message: "Import it from node:buffer: beside Cloudflare's types the global is any." },
    ],
    "eslint/no-var": "error",
    "eslint/prefer-const": "error",
    "import/no-cycle": "error",
    "import/no-default-export": "error",
    "typescript/consistent-type-assertions": ["error", { assertionStyle: "never" }],
    "typescript/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
    "typescript/no-explicit-any": "error",
    "typescript/no-misused-promises": "error",
    "typescript/no-non-null-assertion": "error",
    "typescript/no-unsafe-argument": "error",
    "typescript/no-unsafe-assignment": "error",
    "typescript/no-unsafe-call": "error",
    "typescript/no-unsafe-member-access": "error",
    "typescript/no-unsafe-return": "error",
    "typescript/only-throw-error": "error",
    "typescript/return-await": ["error", "error-handling-correctness-only"],
    "typescript/switch-exhaustiveness-check": "error",
    "unicorn/filename-case": ["error", { case: "kebabCase" }],

    // tsc and the reader judge these better.
    "eslint/no-shadow": "off",
    "eslint/no-unmodified-loop-condition": "off",
    "import/no-named-as-default-member": "off",
    "promise/always-return": "off",
    "promise/no-callback-in-promise": "off",
    "eslint/no-underscore-dangle": "off",
    "typescript/consistent-return": "off",
    "typescript/unbound-method": "off",
    "unicorn/consistent-function-scoping": "off",
    "unicorn/no-useless-spread": "off",
    // There are no windows here.
    "unicorn/require-post-message-target-origin": "off",
  },
  overrides: [
    ...LAYERS,
    {
      // Workers and config loaders demand a default export.
      files: ["servers/worker.ts", "*.config.ts", "test/**/*worker.ts", "test/conformance/fixture.ts"],
      rules: { "import/no-default-export": "off" },
    },
    {
      // Plain JavaScript has no types to go by: the bootstrap, what runs inside the sandbox, and pages of the tests.
      files: ["**/*.{mjs,jsx}"],
      rules: {
        "typescript/no-misused-promises": "off",
        "typescript/no-unsafe-argument": "off",
        "typescript/no-unsafe-assignment": "off",
        "typescript/no-unsafe-call": "off",
        "typescript/no-unsafe-member-access": "off",
        "typescript/no-unsafe-return": "off",
        "eslint/no-restricted-globals": "off",
      },
    },
    {
      // A table of cases is long and still one subject; vitest's matchers are any.
      files: ["test/**"],
      rules: { "eslint/max-lines": "off", "typescript/no-unsafe-assignment": "off" },
    },
  ],
});
