/** What a Worker must be told to run in local mode; there is no sandbox runtime where it says. */
export const LOCAL_SETTINGS = {
  PUBLIC_URL: "http://localhost:8717",
  IDENTITY: "local",
  LOCAL_SIGN_IN_CODE: "12345678",
  LOCAL_ADMIN_SECRET: "s".repeat(32),
  SIGNING_SECRET: "s".repeat(32),
  SANDBOX_DRIVER: "local",
  LOCAL_RUNTIME_URL: "http://127.0.0.1:1",
  LOCAL_RUNTIME_SECRET: "s".repeat(32),
};
