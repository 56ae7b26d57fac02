import * as z from "zod";
import { serviceTokens } from "./service-settings.ts";
import { baseUrl, commaSeparated } from "./setting-kinds.ts";

/** The settings that say who signs people in, and what they may become. */
export const identityShape = {
  /** The code that the launcher prints, Access as an OpenID provider, or Access in front of `/authorize`. */
  IDENTITY: z.enum(["local", "access-oidc", "access-edge"]),
  /** Local mode: the code that the consent page asks for. */
  LOCAL_SIGN_IN_CODE: z
    .string()
    .refine((code) => code.replace(/[^a-z0-9]/gi, "").length >= 8, "needs at least 8 letters and digits")
    .optional(),
  /** Local mode: what `npm run token` shows to be given a personal access token. */
  LOCAL_ADMIN_SECRET: z.string().min(32).optional(),
  /** `https://<team>.cloudflareaccess.com`. */
  ACCESS_TEAM_DOMAIN: baseUrl.optional(),
  /** access-edge: the Access application's audience tag. */
  ACCESS_AUDIENCE: z.string().min(1).optional(),
  /** access-edge: e-mail addresses that are admins, whatever their groups. */
  ADMIN_EMAILS: commaSeparated,
  /** access-edge: JSON: service tokens of Access that may call the endpoints, by client id. */
  SERVICE_TOKENS: serviceTokens,
  /** access-edge: the audience tag of the application in front of the endpoints, which lets service tokens in. */
  ACCESS_SERVICE_AUDIENCE: z.string().min(1).optional(),
  /** access-oidc: the issuer that Access shows beside the application; made of team domain and client id if absent. */
  ACCESS_OIDC_ISSUER: baseUrl.optional(),
  ACCESS_OIDC_CLIENT_ID: z.string().min(1).optional(),
  ACCESS_OIDC_CLIENT_SECRET: z.string().min(1).optional(),
  /** Groups of Access by role. Where all are empty, everybody that Access lets in is a member. */
  ADMIN_GROUPS: commaSeparated,
  MEMBER_GROUPS: commaSeparated,
  READER_GROUPS: commaSeparated,
};

type IdentitySettings = Readonly<z.output<z.ZodObject<typeof identityShape>>>;

type Mode = IdentitySettings["IDENTITY"];
type Name = keyof IdentitySettings;

/** Without these a mode lets nobody in. */
const NEEDED: Readonly<Record<Mode, readonly Name[]>> = {
  local: ["LOCAL_SIGN_IN_CODE", "LOCAL_ADMIN_SECRET"],
  "access-oidc": ["ACCESS_OIDC_CLIENT_ID", "ACCESS_OIDC_CLIENT_SECRET"],
  "access-edge": ["ACCESS_TEAM_DOMAIN", "ACCESS_AUDIENCE"],
};

/** Whoever sets these expects a check that only those modes make. */
const SETTINGS_OF: readonly (readonly [modes: readonly Mode[], names: readonly Name[]])[] = [
  [["access-oidc"], ["ACCESS_OIDC_ISSUER", "ACCESS_OIDC_CLIENT_ID", "ACCESS_OIDC_CLIENT_SECRET"]],
  [
    ["access-oidc", "access-edge"],
    ["ADMIN_GROUPS", "MEMBER_GROUPS", "READER_GROUPS"],
  ],
  [["access-edge"], ["ACCESS_AUDIENCE", "ADMIN_EMAILS", "SERVICE_TOKENS", "ACCESS_SERVICE_AUDIENCE"]],
];

/** What is missing or contradicts itself, one sentence each. */
export function identityProblems(settings: IdentitySettings): string[] {
  const { IDENTITY: mode } = settings;
  const missing = NEEDED[mode].filter((name) => !isSet(settings[name]));
  return [
    ...missing.map((name) => `${name} is missing while IDENTITY is ${mode}.`),
    ...(mode === "access-oidc" ? issuerProblems(settings) : []),
    ...foreignProblems(settings),
    ...groupProblems(settings),
    ...serviceProblems(settings),
  ];
}

/** Why nobody can have the role admin; nothing where somebody can. */
export function whyNoAdmins({ IDENTITY, ADMIN_EMAILS, ADMIN_GROUPS }: IdentitySettings): string | undefined {
  if (IDENTITY === "access-oidc" && ADMIN_GROUPS.length === 0) {
    return "Nobody is an admin here: whoever runs Pincer has to name a group of theirs in ADMIN_GROUPS.";
  }
  if (IDENTITY === "access-edge" && ADMIN_EMAILS.length === 0) {
    return "Nobody is an admin here: whoever runs Pincer has to name themselves in ADMIN_EMAILS.";
  }
  return undefined;
}

function isSet(value: IdentitySettings[Name]): boolean {
  return value !== undefined && Object.keys(value).length > 0;
}

function issuerProblems({ ACCESS_OIDC_ISSUER: issuer, ACCESS_TEAM_DOMAIN: team }: IdentitySettings): string[] {
  if (issuer === undefined && team === undefined) {
    return [
      "ACCESS_OIDC_ISSUER is missing while IDENTITY is access-oidc; set it, or ACCESS_TEAM_DOMAIN to build it of.",
    ];
  }
  if (issuer === undefined || team === undefined || issuer.startsWith(`${team}/`)) return [];
  return ["ACCESS_OIDC_ISSUER and ACCESS_TEAM_DOMAIN name two teams; remove one of them."];
}

function foreignProblems(settings: IdentitySettings): string[] {
  const { IDENTITY: mode } = settings;
  return SETTINGS_OF.filter(([modes]) => !modes.includes(mode)).flatMap(([modes, names]) => {
    const there = `it belongs to ${modes.join(" or ")}: choose that, or remove it.`;
    return names
      .filter((name) => isSet(settings[name]))
      .map((name) => `${name} is set while IDENTITY is ${mode}; ${there}`);
  });
}

function groupProblems({ ADMIN_GROUPS, MEMBER_GROUPS, READER_GROUPS }: IdentitySettings): string[] {
  const named = [ADMIN_GROUPS, MEMBER_GROUPS, READER_GROUPS].flatMap((groups) => [...new Set(groups)]);
  if (new Set(named).size === named.length) return [];
  return ["ADMIN_GROUPS, MEMBER_GROUPS and READER_GROUPS name the same group more than once; keep it in one of them."];
}

function serviceProblems(settings: IdentitySettings): string[] {
  const [first, second] = ["SERVICE_TOKENS", "ACCESS_SERVICE_AUDIENCE"] as const;
  if (isSet(settings[first]) === isSet(settings[second])) return [];
  const [missing, set] = isSet(settings[first]) ? [second, first] : [first, second];
  return [`${missing} is missing while ${set} is set; service tokens need both.`];
}
